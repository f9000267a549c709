import type { FunctionInfo, TailRecord, TopicInfo } from "../../host/api.ts";
import { KeyfoldError } from "../../errors.ts";
import { nearest } from "../../config/check.ts";
import { CLIENT_OPTIONS, hostClient } from "../client/client-options.ts";
import type { HostClient } from "../client/host-client.ts";
import { type Command, type CommandContext, textOption } from "../command.ts";
import { instant } from "../format.ts";
import { usageError, wholeOption } from "../usage.ts";

/** How long the host holds a request for a record that is not there yet. */
const WAIT_MS = 5_000;

export const tail: Command = {
  name: "tail",
  summary: "Print a topic's records, or a function's changes of state.",
  description: "With a function's name: its changelog. Goes on until Ctrl-C; with --no-follow it ends at what is there now.",
  arguments: [{ name: "topic-or-function", summary: "name of a topic or a function" }],
  options: [
    { flags: "--from <where>", summary: "`start`, `end`, or an offset", default: "end; start with --no-follow" },
    { flags: "--partition <n>", summary: "this partition alone" },
    { flags: "--key <key>", summary: "records of this key alone" },
    { flags: "--limit <n>", summary: "end after so many records" },
    { flags: "--no-follow", summary: "end at what is there now" },
    ...CLIENT_OPTIONS,
  ],
  json: "one record a line: { topic, partition, offset, timestamp, key, value, headers? }",
  examples: [
    ["keyfold tail orders", "new records of a topic, as they come"],
    ["keyfold tail cart --key alice --from start --no-follow", "what happened to one key's state"],
  ],
  async run(context) {
    const client = hostClient(context);
    const topic = await resolveTopic(client, context.args["topic-or-function"] ?? "");
    await new Tail(client, topic, context).run();
    return undefined;
  },
};

class Tail {
  readonly #client: HostClient;
  readonly #topic: TopicInfo;
  readonly #context: CommandContext;
  readonly #follow: boolean;
  readonly #key: string | undefined;
  readonly #abort = new AbortController();
  #left: number;

  constructor(client: HostClient, topic: TopicInfo, context: CommandContext) {
    this.#client = client;
    this.#topic = topic;
    this.#context = context;
    this.#follow = context.options["follow"] !== false;
    this.#key = textOption(context.options, "key");
    this.#left = wholeOption(context.options, "limit", 1) ?? Number.POSITIVE_INFINITY;
  }

  async run(): Promise<void> {
    const undo = this.#context.signals.onStop(() => this.#abort.abort());
    try {
      await Promise.all(this.#partitions().map(({ partition, start, end }) => this.#partition(partition, this.#position(start, end), end)));
    } catch (thrown) {
      if (!this.#abort.signal.aborted) throw thrown;
    } finally {
      this.#abort.abort();
      undo();
    }
  }

  #partitions(): TopicInfo["offsets"] {
    const wanted = wholeOption(this.#context.options, "partition");
    const chosen = this.#topic.offsets.filter(({ partition }) => wanted === undefined || partition === wanted);
    if (chosen.length === 0) throw new KeyfoldError("partition-unknown", `topic ${this.#topic.name} has no partition ${wanted}; it has 0 to ${this.#topic.partitions - 1}`);
    return chosen;
  }

  #position(start: number, end: number): number {
    const from = textOption(this.#context.options, "from") ?? (this.#follow ? "end" : "start");
    if (from === "start") return start;
    if (from === "end") return end;
    if (!/^\d+$/.test(from)) throw usageError(`--from must be "start", "end" or an offset, not ${JSON.stringify(from)}`);
    return Math.min(Math.max(Number(from), start), end);
  }

  async #partition(partition: number, from: number, end: number): Promise<void> {
    for (let position = from; !this.#abort.signal.aborted && (this.#follow || position < end); ) {
      const wait = this.#follow ? WAIT_MS : 0;
      const path = `v1/topics/${encodeURIComponent(this.#topic.name)}/records?partition=${partition}&from=${position}&wait=${wait}`;
      const { records, next } = await this.#client.get<{ records: readonly TailRecord[]; next: number }>("internal", path, this.#abort.signal);
      for (const record of records) if (this.#follow || record.offset < end) this.#show(record);
      // A host that answers an ended range with the same position has nothing more to give.
      if (next === position && !this.#follow) return;
      position = next;
    }
  }

  #show(record: TailRecord): void {
    if (this.#left <= 0 || (this.#key !== undefined && record.key !== this.#key)) return;
    const { output } = this.#context;
    if (output.json) output.document(record);
    else output.text([instant(record.timestamp), `${record.partition}:${record.offset}`, record.key ?? "(no key)", JSON.stringify(record.value)].join("\t"));
    if (--this.#left <= 0) this.#abort.abort();
  }
}

/** A topic of that name, else the changelog of a function of that name. */
async function resolveTopic(client: HostClient, name: string): Promise<TopicInfo> {
  const { topics } = await client.get<{ topics: readonly TopicInfo[] }>("internal", "v1/topics");
  const topic = topics.find((candidate) => candidate.name === name);
  if (topic !== undefined) return topic;
  const { functions } = await client.get<{ functions: readonly FunctionInfo[] }>("public", "v1/functions");
  const fn = functions.find((candidate) => candidate.name === name);
  // `<application>-<function>-<store>-changelog`: of two functions whose names end alike, the shorter topic is the one asked for.
  const [changelog] = topics
    .filter((candidate) => candidate.internal && fn?.stores.some((store) => candidate.name.endsWith(`-${name}-${store}-changelog`)))
    .sort((a, b) => a.name.length - b.name.length);
  if (changelog !== undefined) return changelog;
  if (fn !== undefined) throw new KeyfoldError("topic-unknown", `function ${name} keeps no changelog; name one of its topics: ${[...fn.sources, ...fn.sinks].join(", ")}`);
  const names = [...topics.filter(({ internal }) => !internal).map((candidate) => candidate.name), ...functions.map((candidate) => candidate.name)];
  const near = nearest(name, names);
  throw new KeyfoldError("topic-unknown", `there is no topic or function ${JSON.stringify(name)}; ${near === undefined ? `there are ${names.join(", ") || "none"}` : `did you mean ${JSON.stringify(near)}?`}`);
}
