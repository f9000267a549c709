import { KeyfoldError } from "../../errors.ts";
import type { Position } from "../../host/api.ts";
import type { Client, Range } from "../../http/client.ts";
import { type Command, type CommandContext, type OptionValues, switchOption, textOption } from "../command.ts";
import { CLIENT_OPTIONS, hostClient } from "../host-client.ts";
import type { Output } from "../output.ts";
import { dashed, usageError, wholeOption } from "../usage.ts";

const DEFAULT_LIMIT = 100;
/** Largest page asked of the host at once. */
const PAGE = 1_000;

export const get: Command = {
  name: "get",
  summary: "Read a function's state: one key, or many.",
  arguments: [
    { name: "function", summary: "name of the function" },
    { name: "key?", summary: "the key; without one, keys are listed" },
  ],
  options: [
    { flags: "--prefix <text>", summary: "keys that begin with this" },
    { flags: "--from <key>", summary: "keys from this one on; with a key: windows from this time on (ms)" },
    { flags: "--to <key>", summary: "keys before this one; with a key: windows up to this time (ms)" },
    { flags: "--limit <n>", summary: "at most so many keys; 0 is all", default: String(DEFAULT_LIMIT) },
    { flags: "--count", summary: "how many keys there are, instead of the keys" },
    { flags: "--at-least <partition:offset>", summary: "wait until this event is in the state (with a key)" },
    { flags: "--as-of <ms>", summary: "the state as it was at this time (stores with history)" },
    ...CLIENT_OPTIONS,
  ],
  json: "{ key, value, timestamp, partition, offset, lag } for one key; { key, value, timestamp } a line for many; { count } with --count",
  examples: [
    ["keyfold get cart alice", "the state of one key"],
    ["keyfold get cart --prefix user: --limit 10", "the first ten keys that begin with user:"],
    ["keyfold get cart --count", "how many keys there are"],
  ],
  async run(context) {
    const { args, options, output } = context;
    const client = hostClient(context);
    const fn = args["function"] ?? "";
    if (args["key"] !== undefined) {
      refuse(options, ["prefix", "count", "limit"], "lists keys; leave the key out");
      await one(client, fn, args["key"], context);
      return undefined;
    }
    refuse(options, ["atLeast", "asOf"], "needs a key");
    const range = { ...text(options, "prefix"), ...text(options, "from"), ...text(options, "to") };
    if (switchOption(options, "count")) {
      const count = await client.count(fn, range);
      if (output.json) output.document({ count });
      else output.text(String(count));
    } else await many(client, fn, range, wholeOption(options, "limit") ?? DEFAULT_LIMIT, output);
    return undefined;
  },
};

async function one(client: Client, fn: string, key: string, { options, output }: CommandContext): Promise<void> {
  if (options["from"] !== undefined || options["to"] !== undefined) {
    const answer = await client.windows(fn, key, wholeOption(options, "from") ?? 0, wholeOption(options, "to") ?? Number.MAX_SAFE_INTEGER);
    if (output.json) output.document(answer);
    else for (const window of answer.windows) output.text(JSON.stringify(window));
    return;
  }
  const atLeast = position(textOption(options, "atLeast"));
  const asOf = wholeOption(options, "asOf");
  const answer = await client.get(fn, key, { ...(atLeast === undefined ? {} : { atLeast }), ...(asOf === undefined ? {} : { asOf }) });
  if (answer === undefined) throw new KeyfoldError("not-found", `function ${fn} has no state for the key ${JSON.stringify(key)}`);
  if (output.json || "windows" in answer) output.document(answer);
  else output.text(JSON.stringify(answer.value, null, 2));
}

async function many(client: Client, fn: string, range: Range, limit: number, output: Output): Promise<void> {
  let left = limit === 0 ? Number.POSITIVE_INFINITY : limit;
  let cursor: string | null = null;
  do {
    const page: Awaited<ReturnType<Client["page"]>> = await client.page(fn, {
      ...range,
      limit: Math.min(left, PAGE),
      ...(cursor === null ? {} : { cursor }),
    });
    for (const item of page.items) {
      if (output.json) output.document(item);
      else output.text(`${item.key}\t${JSON.stringify(item.value)}`);
    }
    left -= page.items.length;
    cursor = page.cursor;
  } while (cursor !== null && left > 0);
  if (cursor !== null && !output.json) output.note(output.style(`there are more; --limit ${limit * 10}, or --limit 0 for all`, "dim"));
}

function text<K extends "prefix" | "from" | "to">(options: OptionValues, name: K): Partial<Record<K, string>> {
  const value = textOption(options, name);
  return value === undefined ? {} : ({ [name]: value } as Record<K, string>);
}

function position(text: string | undefined): Position | undefined {
  if (text === undefined) return undefined;
  const [, partition, offset] = /^(\d+):(\d+)$/.exec(text) ?? [];
  if (partition === undefined || offset === undefined)
    throw usageError(`--at-least takes <partition>:<offset>, as in an append's answer, not ${JSON.stringify(text)}`);
  return { partition: Number(partition), offset: Number(offset) };
}

function refuse(options: OptionValues, names: readonly string[], why: string): void {
  for (const name of names) if (options[name] !== undefined) throw usageError(`--${dashed(name)} ${why}`);
}
