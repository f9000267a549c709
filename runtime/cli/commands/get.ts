import { CLIENT_OPTIONS, hostClient } from "../client/client-options.ts";
import type { HostClient } from "../client/host-client.ts";
import { type Command, type CommandContext, switchOption, textOption } from "../command.ts";
import type { Output } from "../output.ts";
import { usageError, wholeOption } from "../usage.ts";

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
    const { args, output } = context;
    const client = hostClient(context);
    const path = `v1/functions/${encodeURIComponent(args["function"] ?? "")}/keys`;
    if (args["key"] !== undefined) return one(client, path, args["key"], context);
    const { options } = context;
    for (const name of ["atLeast", "asOf"])
      if (options[name] !== undefined) throw usageError(`--${name === "asOf" ? "as-of" : "at-least"} needs a key`);
    const range = query({ prefix: textOption(options, "prefix"), from: textOption(options, "from"), to: textOption(options, "to") });
    if (switchOption(options, "count")) {
      const { count } = await client.get<{ count: number }>("public", `${path}?count${range === "" ? "" : `&${range}`}`);
      if (output.json) output.document({ count });
      else output.text(String(count));
      return undefined;
    }
    return many(client, path, range, wholeOption(options, "limit") ?? DEFAULT_LIMIT, output);
  },
};

interface Item {
  readonly key: string;
  readonly value: unknown;
  readonly timestamp: number;
}

async function one(client: HostClient, path: string, key: string, { options, output }: CommandContext): Promise<undefined> {
  for (const name of ["prefix", "count", "limit"])
    if (options[name] !== undefined) throw usageError(`--${name} lists keys; leave the key out`);
  const asked = query({
    "at-least": textOption(options, "atLeast"),
    "as-of": textOption(options, "asOf"),
    from: textOption(options, "from"),
    to: textOption(options, "to"),
  });
  const answer = await client.get<{ value?: unknown; windows?: readonly unknown[] }>(
    "public",
    `${path}/${encodeURIComponent(key)}${asked === "" ? "" : `?${asked}`}`,
  );
  if (output.json) output.document(answer);
  else if (answer.windows !== undefined) for (const window of answer.windows) output.text(JSON.stringify(window));
  else output.text(JSON.stringify(answer.value, null, 2));
  return undefined;
}

async function many(client: HostClient, path: string, range: string, limit: number, output: Output): Promise<undefined> {
  let left = limit === 0 ? Number.POSITIVE_INFINITY : limit;
  let cursor: string | null = null;
  do {
    const page: string = [range, query({ limit: String(Math.min(left, PAGE)), cursor: cursor ?? undefined })]
      .filter((part) => part !== "")
      .join("&");
    const answer: { items: readonly Item[]; cursor: string | null } = await client.get("public", `${path}?${page}`);
    for (const item of answer.items) {
      if (output.json) output.document(item);
      else output.text(`${item.key}\t${JSON.stringify(item.value)}`);
    }
    left -= answer.items.length;
    cursor = answer.cursor;
  } while (cursor !== null && left > 0);
  if (cursor !== null && !output.json) output.note(output.style(`there are more; --limit ${limit * 10}, or --limit 0 for all`, "dim"));
  return undefined;
}

function query(parameters: Readonly<Record<string, string | undefined>>): string {
  return Object.entries(parameters)
    .flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${encodeURIComponent(value)}`]))
    .join("&");
}
