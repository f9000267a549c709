import { availableParallelism } from "node:os";
import { z } from "zod";
import { bytes, duration, list, oneOf, other, path, setting, text, whole } from "./leaf.ts";
import { topicSettings } from "./topic-settings.ts";

const MIB = 2 ** 20;

/** Names that become part of topic names, directories and URLs. */
export const NAME = /^[a-z0-9][a-z0-9._-]{0,99}$/;
const TOPIC = /^[A-Za-z0-9._-]{1,249}$/;

const topicName = text("a topic name: 1 to 249 of A-Z a-z 0-9 . _ -", TOPIC);
const guarantee = oneOf("at_least_once", "exactly_once_v2");

/** Settings of a function that carry Kafka's names. At the top level they are defaults of all functions. */
const sharedSettings = {
  "retry.backoff.ms": setting(duration(), {
    default: 100,
    doc: 'First pause between attempts under `onError: "retry"`; doubles each time, up to 30 s.',
  }),
  "max.in.flight.keys": setting(whole(1, 100_000), {
    default: 64,
    doc: "Keys an async reducer works on at once in one task. Events of one key always stay in order.",
  }),
  "errors.dead.letter.queue.topic.name": setting(topicName, {
    defaultText: "`<name>-<function>-dead-letters`",
    doc: "Topic that takes the records a function gave up on.",
  }),
  "auto.offset.reset": setting(oneOf("earliest", "latest"), {
    default: "earliest",
    doc: "Where a function that has never run begins to read.",
  }),
};

const engineSettings = {
  "cache.max.bytes.buffering": setting(bytes(), {
    default: 10 * MIB,
    doc: "Record cache over all workers; 0 turns it off. Larger means fewer writes for keys that change often.",
  }),
  "commit.interval.ms": setting(duration(), {
    default: 30_000,
    defaultText: "30000; 100 under exactly_once_v2",
    doc: "Longest time between commits. Shorter means less to do again after a crash, and more writes.",
  }),
  "processing.guarantee": setting(guarantee, {
    default: "at_least_once",
    doc: "Whether outputs and offsets become visible together (exactly once) or one after the other.",
  }),
  "num.stream.threads": setting(whole(1, 256), {
    default: () => Math.max(1, Math.min(4, availableParallelism() - 1)),
    defaultText: "one less than there are cores, 1 to 4",
    doc: "Worker threads that run tasks. The main thread, with HTTP and the embedded log, keeps a core busy too. Kafka Streams starts with 1.",
  }),
  "state.dir": setting(path, { default: ".keyfold/state", doc: "Where stores and the embedded log live." }),
  "state.cleanup.delay.ms": setting(duration(), {
    default: 600_000,
    doc: "How long a task's directory is kept after the task has moved away.",
  }),
  "max.task.idle.ms": setting(duration(), {
    default: 0,
    doc: "How long a task with several inputs waits for the one that is empty, to keep them in event-time order.",
  }),
  "group.instance.id": setting(text('a name that this host alone has, such as "host-1"', /^[A-Za-z0-9._-]{1,249}$/), {
    defaultText: "none",
    doc: "Makes the host a static member: a quick restart moves no task. Kafka log only.",
  }),
  "session.timeout.ms": setting(duration(1_000), {
    default: 45_000,
    doc: "A host that has not been heard of for so long loses its tasks. Kafka log only.",
  }),
  "num.standby.replicas": setting(whole(0, 16), {
    default: 0,
    doc: "Copies of each store kept warm on other hosts. Standbys are not there yet: no copies are kept, and a host that is asked for them says so.",
  }),
  "acceptable.recovery.lag": setting(whole(0), {
    unit: "records",
    default: 10_000,
    doc: "How far behind a copy may be and still count as caught up. Of standbys, which are not there yet: no effect.",
  }),
  "max.warmup.replicas": setting(whole(1), {
    default: 2,
    doc: "Copies that may be warming up at once, to bound what it costs. Of standbys, which are not there yet: no effect.",
  }),
  "probing.rebalance.interval.ms": setting(duration(60_000), {
    default: 600_000,
    doc: "How often to look whether a copy has caught up and can take over. Of standbys, which are not there yet: no effect.",
  }),
  "state.memory.bytes": setting(bytes(8 * MIB), {
    default: 96 * MIB,
    doc: "Memory of the host for the rows written last and for all RocksDB memtables and block caches, divided among its stores.",
  }),
  "fetch.max.bytes": setting(bytes(1_024), { default: MIB / 2, doc: "Asked of the log at once for one partition." }),
};

const tunable = {
  "commit.interval.ms": setting(duration(), { defaultText: "that of the host", doc: "As at the top level, for this function alone." }),
  "processing.guarantee": setting(guarantee, { defaultText: "that of the host", doc: "As at the top level, for this function alone." }),
  onError: setting(oneOf("retry", "dead-letter", "fail"), {
    default: "dead-letter",
    doc: "What a record does that cannot be processed: tried again, set aside in the dead-letter topic, or the function stops.",
  }),
  retries: setting(whole(0, 1_000_000), { default: 5, doc: "Attempts before `retry` gives the record to the dead-letter topic." }),
  ...sharedSettings,
};

const sources = other("a topic name, or a list of them", (raw) => {
  const topics = Array.isArray(raw) ? raw : [raw];
  return topics.length > 0 && topics.every((topic) => typeof topic === "string" && TOPIC.test(topic))
    ? (raw as string | string[])
    : undefined;
});

export const functionSchema = z.strictObject({
  source: setting(sources, { defaultText: "that of the file", doc: "Topics to read: for a file that exports a bare reducer." }),
  sink: setting(topicName, { defaultText: "that of the file", doc: "Topic that gets every new state." }),
  ...tunable,
});

export const functionDefaultsSchema = z.strictObject(tunable);

export const limitsSchema = z.strictObject({
  "body.max.bytes": setting(bytes(1), {
    default: 8 * MIB,
    doc: "HTTP request body (NDJSON: one line), and the answer of a function's own route.",
  }),
  "batch.max.records": setting(whole(1), { default: 10_000, doc: "Records in one append (NDJSON streams are not limited)." }),
  "key.max.bytes": setting(bytes(1), { default: 4_096, doc: "Length of a key." }),
  "record.max.bytes": setting(bytes(1), { default: MIB, doc: "One record's value." }),
  "state.max.bytes": setting(bytes(1), {
    default: MIB,
    doc: "One key's state, encoded. A larger one fails its record before anything is written.",
  }),
  "reducer.timeout.ms": setting(duration(10), {
    default: 5_000,
    doc: "A reducer call that takes longer is hung: its worker is replaced and the record fails.",
  }),
  "worker.heap.max.bytes": setting(bytes(32 * MIB), { default: 512 * MIB, doc: "V8 heap of one worker." }),
  "live.max.clients": setting(whole(0), { default: 1_000, doc: "Open streams of live changes." }),
  "wait.max.ms": setting(duration(1), { default: 30_000, doc: "Longest wait of a request for its result." }),
  "stop.max.ms": setting(duration(100), {
    default: 10_000,
    doc: "Longest wait of a stopping host for its last commit. After it the host stops without: nothing is lost, the next start goes on from the commit before.",
  }),
});

export const httpSchema = z.strictObject({
  port: setting(whole(0, 65_535), { default: 8787, doc: "Public listener: events and queries. 0 picks a free port." }),
  internalPort: setting(whole(0, 65_535), {
    default: 8788,
    doc: "Internal listener: metrics, tasks, topics, deployments. 0 picks a free port.",
  }),
  host: setting(text(), {
    default: "127.0.0.1",
    doc: "Address of the public listener; `0.0.0.0` for all. Loopback until asked otherwise, since there are no accounts.",
  }),
  internalHost: setting(text(), { default: "127.0.0.1", doc: "Address of the internal listener. Whoever reaches it can run code here." }),
});

export const logSchema = z.strictObject({
  kind: setting(oneOf("embedded", "kafka"), {
    default: "embedded",
    doc: "Where events, changelogs and offsets are kept: in this process, or in a Kafka cluster.",
  }),
  flush: setting(oneOf("os", "commit"), {
    default: "os",
    doc: "Embedded log: when a write counts as durable. `os` survives the process, `commit` (an fsync each) survives the machine.",
  }),
  brokers: setting(list('a list of host:port, such as ["localhost:9092"]', /^[^\s,:]+:\d{1,5}$/), {
    defaultText: "required with `kafka`",
    doc: "Kafka brokers to begin with.",
  }),
  ssl: setting(
    other("true, false, or an object of Node's tls.connect options", (raw) =>
      typeof raw === "boolean" || isPlainObject(raw) ? (raw as boolean | Record<string, unknown>) : undefined,
    ),
    { defaultText: "false", doc: "TLS to Kafka: true, or options of Node's `tls.connect`." },
  ),
  sasl: z
    .strictObject({
      mechanism: setting(oneOf("plain", "scram-sha-256", "scram-sha-512"), { defaultText: "required", doc: "How to log in to Kafka." }),
      username: setting(text(), { defaultText: "required", doc: "User name." }),
      password: setting(text(), { defaultText: "required", doc: "Password; best given as the environment variable." }),
    })
    .optional(),
  compression: setting(oneOf("none", "gzip", "snappy", "lz4", "zstd"), {
    defaultText: "none",
    doc: "Compression of what is sent to Kafka.",
  }),
  replicationFactor: setting(whole(1, 32_767), { defaultText: "the cluster's", doc: "Replicas of topics made here." }),
});

const shape = {
  name: setting(text("1 to 100 of a-z 0-9 . _ -, beginning with a letter or digit", NAME), {
    defaultText: "the name in package.json",
    doc: "Name of the application. Part of the name of every consumer group and changelog: changing it starts over.",
  }),
  functionsDir: setting(path, { default: "functions", doc: "Directory with one file for each function." }),
  buildDir: setting(path, { default: ".keyfold/build", doc: "Where bundles and manifests go." }),
  log: logSchema.optional(),
  topics: z.record(z.string(), topicSettings).optional(),
  defaultPartitions: setting(whole(1, 10_000), {
    default: 4,
    doc: "Partitions of a topic that is not under `topics`. The most tasks of one function that can run at once.",
  }),
  functions: z.record(z.string(), functionSchema).optional(),
  functionDefaults: functionDefaultsSchema.optional(),
  limits: limitsSchema.optional(),
  http: httpSchema.optional(),
  logLevel: setting(oneOf("trace", "debug", "info", "warn", "error", "silent"), { default: "info", doc: "Least severity that is logged." }),
  ...engineSettings,
  ...sharedSettings,
};

/** An `env.<name>` overlay, and what environment variables and flags may set. */
export const layerSchema = z.strictObject(shape);

/** The whole of a config file. */
export const configSchema = z.strictObject({ ...shape, env: z.record(z.string(), layerSchema).optional() });

/** One checked layer: durations in ms, sizes in bytes, nothing filled in. */
export type Layer = z.output<typeof layerSchema>;

export const engineKeys = Object.keys(engineSettings) as readonly (keyof typeof engineSettings)[];
export const sharedKeys = Object.keys(sharedSettings) as readonly (keyof typeof sharedSettings)[];

export function isTopicName(name: string): boolean {
  return TOPIC.test(name) && name !== "." && name !== "..";
}

export function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype || Object.prototype.toString.call(value) === "[object Object]";
}
