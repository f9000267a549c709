import { nearest } from "../../config/check.ts";
import { KeyfoldError } from "../../errors.ts";
import type { TopicInfo } from "../../host/api.ts";
import type { Client } from "../../http/client.ts";
import { type Command, type CommandContext, textOption } from "../command.ts";
import { instant } from "../format.ts";
import { brokenStream, CLIENT_OPTIONS, hostClient } from "../host-client.ts";
import { wholeOption } from "../usage.ts";

export const tail: Command = {
  name: "tail",
  summary: "Print a topic's records, or a function's changes of state.",
  description: "With a function's name: its changelog. Goes on until Ctrl-C; with --no-follow it ends at what is there now.",
  arguments: [{ name: "topic-or-function", summary: "name of a topic or a function" }],
  options: [
    {
      flags: "--from <where>",
      summary: "earliest, latest, an offset (with --partition), or a time: @<epoch ms>, 2026-11-21T12:00:00Z",
      default: "latest; earliest with --no-follow",
    },
    { flags: "--partition <n>", summary: "this partition alone" },
    { flags: "--key <key>", summary: "records of this key alone" },
    { flags: "--limit <n>", summary: "end after so many records" },
    { flags: "--no-follow", summary: "end at what is there now" },
    ...CLIENT_OPTIONS,
  ],
  json: "one record a line: { topic, partition, offset, timestamp, key, value, headers? }",
  examples: [
    ["keyfold tail orders", "new records of a topic, as they come"],
    ["keyfold tail cart --key alice --no-follow", "what happened to one key's state"],
  ],
  async run(context) {
    const client = hostClient(context);
    const topic = await resolveTopic(client, context.args["topic-or-function"] ?? "");
    await printRecords(client, topic, context);
    return undefined;
  },
};

/** Asks for the records and prints those wanted, until there are no more or nobody wants them. */
async function printRecords(client: Client, topic: TopicInfo, { options, output, signals }: CommandContext): Promise<void> {
  const follow = options["follow"] !== false;
  const key = textOption(options, "key");
  const partition = wholeOption(options, "partition");
  const abort = new AbortController();
  let left = wholeOption(options, "limit", 1) ?? Number.POSITIVE_INFINITY;
  const from = textOption(options, "from") ?? (follow ? "latest" : "earliest");
  const undo = signals.onStop(() => abort.abort());
  try {
    const asked = {
      from,
      signal: abort.signal,
      ...(partition === undefined ? {} : { partition }),
      ...(follow ? { wait: "forever" as const } : {}),
    };
    for await (const record of client.tail(topic.name, asked)) {
      if (key !== undefined && record.key !== key) continue;
      if (output.json) output.document(record);
      else
        output.text(
          [instant(record.timestamp), `${record.partition}:${record.offset}`, record.key ?? "(no key)", JSON.stringify(record.value)].join(
            "\t",
          ),
        );
      if (--left <= 0) break;
    }
  } catch (thrown) {
    if (!abort.signal.aborted) throw brokenStream(thrown);
  } finally {
    abort.abort();
    undo();
  }
}

/** A topic of that name, else the changelog of a function of that name. */
async function resolveTopic(client: Client, name: string): Promise<TopicInfo> {
  const topics = await client.topics();
  const topic = topics.find((candidate) => candidate.name === name);
  if (topic !== undefined) return topic;
  const functions = await client.functions();
  const fn = functions.find((candidate) => candidate.name === name);
  // `<application>-<function>-<store>-changelog`: of two functions whose names end alike, the shorter topic is the one asked for.
  const [changelog] = topics
    .filter((candidate) => candidate.internal && fn?.stores.some((store) => candidate.name.endsWith(`-${name}-${store}-changelog`)))
    .sort((a, b) => a.name.length - b.name.length);
  if (changelog !== undefined) return changelog;
  if (fn !== undefined)
    throw new KeyfoldError(
      "topic-unknown",
      `function ${name} keeps no changelog; name one of its topics: ${[...fn.sources, ...fn.sinks].join(", ")}`,
    );
  const names = [
    ...topics.filter(({ internal }) => !internal).map((candidate) => candidate.name),
    ...functions.map((candidate) => candidate.name),
  ];
  const near = nearest(name, names);
  throw new KeyfoldError(
    "topic-unknown",
    `there is no topic or function ${JSON.stringify(name)}; ${near === undefined ? `there are ${names.join(", ") || "none"}` : `did you mean ${JSON.stringify(near)}?`}`,
  );
}
