/**
 * What a record of the algebra costs: windowed count (hopping, 10 windows an event), stream-table join, stream-stream join,
 * over growing numbers of keys. One task over RocksDB with the record cache, fed encoded batches from memory, committing
 * every 100 000 records as a host would; CPU of this process by getrusage. Prints one JSON line each.
 * `node --conditions=keyfold-source bench/algebra.ts [events] [keys,keys,...] [name,name,...]`
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { defineFunction, hopping, stream, table } from "keyfold";
import { BatchBuilder, decodeBatches } from "../runtime/log/record-batch.ts";
import { openStore } from "../runtime/state/open-store.ts";
import { RecordCache } from "../runtime/state/record-cache.ts";
import type { TaskStore } from "../runtime/state/store.ts";
import { Task } from "../runtime/task/task.ts";
import { compile } from "../runtime/topology/compile.ts";

const BATCH = 1_000;
const COMMIT_EVERY = 100_000;
const CACHE_BYTES = 64 * 1024 * 1024;

interface Case {
  readonly definition: unknown;
  /** Topics fed in turn. */
  readonly topics: readonly string[];
  /** Topics that get one record for each key before the clock starts. */
  readonly filled?: readonly string[];
}

const cases: Record<string, () => Case> = {
  "windowed-count-hopping-10": () => ({
    definition: defineFunction<number, number>({
      source: "in",
      window: hopping("10 minutes", { advance: "1 minute", retention: "20 minutes" }),
      reduce: (n = 0) => n + 1,
      sink: "out",
    }),
    topics: ["in"],
  }),
  "windowed-count-tumbling": () => ({
    definition: defineFunction<number, number>({
      source: "in",
      window: hopping("10 minutes", { advance: "10 minutes", retention: "20 minutes" }),
      reduce: (n = 0) => n + 1,
      sink: "out",
    }),
    topics: ["in"],
  }),
  "stream-table-join": () => ({
    definition: defineFunction({
      topology: stream<number>("in")
        .join(table<{ n: number }>("rows"), (value, row) => value + row.n)
        .to("out"),
    }),
    topics: ["in"],
    filled: ["rows"],
  }),
  "stream-stream-join": () => ({
    definition: defineFunction({
      topology: stream<number>("left")
        .join(stream<number>("right"), (l, r) => l + r, { within: "1 minute", name: "j" })
        .to("out"),
    }),
    topics: ["left", "right"],
  }),
  "keyed-count": () => ({
    definition: defineFunction<number, number>({ source: "in", reduce: (n = 0) => n + 1, sink: "out" }),
    topics: ["in"],
  }),
};

const events = Number(process.argv[2] ?? 500_000);
const keyCounts = (process.argv[3] ?? "10000,100000,1000000").split(",").map(Number);
const names = process.argv[4]?.split(",") ?? Object.keys(cases);
for (const name of names) for (const keys of keyCounts) await measure(name, keys);

async function measure(name: string, keys: number): Promise<void> {
  const made = cases[name]?.();
  if (made === undefined) throw new Error(`no bench "${name}"; there are ${Object.keys(cases).join(", ")}`);
  const dir = await mkdtemp(join(tmpdir(), "keyfold-algebra-"));
  const { topology } = compile(made.definition, { name, application: "bench", settings: {} });
  const [subtopology] = topology.subtopologies;
  if (subtopology === undefined || topology.subtopologies.length > 1) throw new Error("one subtopology expected");
  const cache = new RecordCache(CACHE_BYTES);
  const stores = new Map<string, TaskStore>();
  for (const spec of subtopology.stores) {
    const options = {
      dir,
      task: "0_0",
      cache,
      memoryBytes: 64 << 20,
      stateMaxBytes: 1 << 20,
      now: Date.now,
      deleteRetentionMs: 86_400_000,
    };
    stores.set(spec.name, await openStore(spec, options));
  }
  const nothing = (): void => {};
  const task = new Task({
    function: name,
    version: "bench",
    application: "bench",
    subtopology,
    partition: 0,
    stores,
    partitions: new Map([...subtopology.sources, ...subtopology.sinks].map(({ topic }) => [topic, 1])),
    onError: "fail",
    retries: 0,
    backoffMs: 1,
    deadLetterTopic: "dead",
    maxInFlightKeys: 1,
    maxTaskIdleMs: -1,
    atomic: true,
    frozen: false,
    wallClock: Date.now,
    logger: { debug: nothing, info: nothing, warn: nothing, error: nothing },
  });
  task.start(
    task.inputs.map(() => undefined),
    task.inputs.map(() => 0),
  );
  let position = 0;
  const commit = (): void => {
    const request = task.prepareCommit();
    if (task.interrupt?.kind === "failed") throw task.interrupt.error;
    if (request !== undefined) task.applyCommit(request.batches.map(() => (position += 1_000_000)));
  };
  const value = Buffer.from("1");
  const row = Buffer.from('{"n":1}');
  let random = 12_345;
  let sent = 0;
  const feed = (topic: string, count: number, bytes: Buffer, keyOf: (i: number) => number, timeOf: (i: number) => number): void => {
    const input = task.inputs.find((one) => one.topic === topic);
    if (input === undefined) throw new Error(`no input ${topic}`);
    const builder = new BatchBuilder();
    for (let i = 0; i < count; i++) builder.append(`key-${keyOf(i)}`, bytes, timeOf(i));
    const batch = decodeBatches(builder.finish());
    for (let i = 0; i < batch.length; i++) batch.offsets[i] = input.fetchPosition + i;
    input.load(batch, input.fetchPosition + count);
    task.process(Number.POSITIVE_INFINITY);
    if (task.interrupt?.kind === "failed") throw task.interrupt.error;
    sent += count;
    if (sent >= COMMIT_EVERY || cache.wantsCommit) {
      sent = 0;
      commit();
    }
  };
  for (const topic of made.filled ?? [])
    for (let from = 0; from < keys; from += BATCH)
      feed(
        topic,
        Math.min(BATCH, keys - from),
        row,
        (i) => from + i,
        () => 0,
      );
  commit();
  // An hour of events, however many there are.
  const stepMs = 3_600_000 / events;
  const run = (count: number, start: number): void => {
    let at = start;
    for (let done = 0; done < count; done += BATCH) {
      const topic = made.topics[(done / BATCH) % made.topics.length] ?? "";
      feed(
        topic,
        BATCH,
        value,
        () => (random = (Math.imul(random, 1_103_515_245) + 12_345) >>> 0) % keys,
        () => Math.floor((at += stepMs)),
      );
    }
    commit();
  };
  run(Math.min(events / 5, 100_000), 0);
  const before = process.resourceUsage();
  const started = performance.now();
  run(events, 1_800_000);
  const after = process.resourceUsage();
  const cpu = (after.userCPUTime + after.systemCPUTime - before.userCPUTime - before.systemCPUTime) / 1e6;
  const seconds = (performance.now() - started) / 1_000;
  task.close();
  for (const store of stores.values()) await store.close();
  await rm(dir, { recursive: true });
  process.stdout.write(
    `${JSON.stringify({ bench: name, keys, events, eventsPerCpuSecond: Math.round(events / cpu), cpuSeconds: Number(cpu.toFixed(2)), seconds: Number(seconds.toFixed(2)) })}\n`,
  );
}
