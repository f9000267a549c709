import { KeyfoldError } from "../errors.ts";
import type { MemoryLog } from "../log/memory-log.ts";
import { BatchBuilder, decodeBatches, type Headers, keyText, valueBytes } from "../log/record-batch.ts";
import { ValueCodec } from "../state/codec.ts";
import type { TaskStore } from "../state/store.ts";
import { decodeKey, isWindowed, readAsOf, readEntries, readKey, readWindows } from "../state/windowed/read.ts";
import type { Compiled } from "../topology/compile.ts";
import { changelogTopic } from "../topology/names.ts";
import type { Codec } from "../topology/topology.ts";
import type { DriverTask } from "./driver-task.ts";
import type { InputRecord, LoggedRecord, OutputRecord, StoreEntry, StoreReader } from "./records.ts";

/** What a driver works on; made by `createTestDriver`. */
export interface DriverParts {
  readonly compiled: Compiled;
  readonly application: string;
  readonly log: MemoryLog;
  readonly deadLetterTopic: string;
  /** Topics the function reads. */
  readonly sources: ReadonlySet<string>;
  readonly atomic: boolean;
  /** Virtual ms between commits; 0: after every record. */
  readonly commitIntervalMs: number;
  readonly codecOf: (topic: string) => Codec;
  readonly clock: { now: number };
  /** Internal records on their way, by topic, in the order in which they were sent. */
  readonly underway: string[];
  readonly open: (options: { readonly wipe: boolean }) => Promise<DriverTask[]>;
  readonly remove: () => Promise<void>;
}

/**
 * Runs a function without a host: the real tasks, stores, cache and commits over a log in memory, with a clock that moves
 * only when it is told to. Piping, advancing and reading are synchronous. Every topic has one partition.
 */
export class TestDriver {
  readonly #parts: DriverParts;
  #tasks: DriverTask[];
  readonly #read = new Map<string, number>();
  #dropped = 0;
  #lastCommit: number;
  #closed = false;

  constructor(parts: DriverParts, tasks: DriverTask[]) {
    this.#parts = parts;
    this.#tasks = tasks;
    this.#lastCommit = parts.clock.now;
    this.#readGlobals();
  }

  /** Appends a record to a topic and processes everything that follows from it. Throws what stops the function (`onError: "fail"`). */
  pipe(topic: string, record: InputRecord): void {
    const { log, clock, sources } = this.#parts;
    this.#open();
    if (!sources.has(topic))
      throw new KeyfoldError(
        "topic-unknown",
        `the function does not read the topic ${JSON.stringify(topic)}; it reads ${[...sources].join(", ")}`,
      );
    checkRecord(record);
    const builder = new BatchBuilder();
    const value = record.value === null ? null : this.#parts.codecOf(topic).encode(record.value);
    builder.append(record.key, value, record.timestamp ?? clock.now, headersOf(record.headers));
    log.ensureTopic({ name: topic, partitions: 1 });
    log.append(topic, 0, builder.finish());
    this.#parts.underway.push(topic);
    this.#run();
  }

  /** Moves the wall clock; schedules that are due fire once, with the new time. */
  advanceWallClock(ms: number): void {
    const { clock } = this.#parts;
    this.#open();
    if (!(Number.isFinite(ms) && ms >= 0)) throw new TypeError(`advanceWallClock takes milliseconds from 0 on, not ${JSON.stringify(ms)}`);
    clock.now += ms;
    for (const task of this.#tasks) {
      task.task.punctuate(clock.now);
      this.#afterStep(task);
    }
    this.#run();
  }

  /** Commits now: the caches are flushed, and what comes of that is processed. */
  commit(): void {
    this.#open();
    // What one task flushes may be another's input.
    do {
      for (const task of this.#tasks) this.#commit(task);
      this.#run();
    } while (this.#tasks.some(({ task }) => task.dirty));
    this.#lastCommit = this.#parts.clock.now;
  }

  /** Records of a topic since the last read. */
  read<V = unknown>(topic: string): OutputRecord<V>[] {
    const { log } = this.#parts;
    if (log.describe(topic) === undefined) return [];
    const from = this.#read.get(topic) ?? 0;
    const { data, next } = log.fetch(topic, 0, from);
    this.#read.set(topic, next);
    const batch = decodeBatches(data, { from });
    const codec = this.#parts.codecOf(topic);
    const records: OutputRecord<V>[] = [];
    for (let i = 0; i < batch.length; i++) {
      const bytes = valueBytes(batch, i);
      const headers = batch.headers?.[i];
      records.push({
        key: keyText(batch, i),
        value: (bytes === null ? null : codec.decode(bytes)) as V,
        timestamp: batch.timestamps[i] ?? -1,
        ...(headers === undefined || headers === null || headers.length === 0
          ? {}
          : { headers: Object.fromEntries(headers.map(([name, text]) => [name, text === null ? "" : Buffer.from(text).toString()])) }),
      });
    }
    return records;
  }

  /** A key's state in the function's own store. Windowed functions: read `store(name)`, with the start of a window. */
  state<S = unknown>(key: string): S | undefined {
    const name = this.#parts.compiled.queryStore;
    if (name === undefined)
      throw new KeyfoldError(
        "store-unknown",
        "this function has no store that key reads use; name one with `query`, or read one by name with store(name)",
      );
    if (isWindowed(this.#store(name).spec.layout)) {
      throw new KeyfoldError(
        "store-type",
        `this function keeps a state for each window: read store("${name}").get(key, windowStart), or store("${name}").entries()`,
      );
    }
    return this.store<S>(name).get(key);
  }

  /** A store by name, as it is now: what is in the cache included. */
  store<V = unknown>(name: string): StoreReader<V> {
    const store = this.#store(name);
    return {
      get(key, windowStart, windowEnd) {
        if (windowStart === undefined) return readKey(store, key)?.value as V | undefined;
        const found = readWindows(store, key, windowStart, windowStart);
        return found.find((one) => one.start === windowStart && (windowEnd === undefined || one.end === windowEnd))?.value as V | undefined;
      },
      asOf: (key, time) => readAsOf(store, key, time)?.value as V | undefined,
      entries: () => [...readEntries(store)].map(publicEntry<V>).sort(byKeyThenWindow),
    };
  }

  /** Records of a store's changelog that are committed. Windowed stores: with the bounds of the window. */
  changelog<V = unknown>(name: string): LoggedRecord<V>[] {
    const { spec } = this.#store(name);
    const { log, application } = this.#parts;
    const topic = changelogTopic(application, name);
    const codec = new ValueCodec(spec, { task: "test", maxBytes: Number.MAX_SAFE_INTEGER });
    const batch = decodeBatches(log.fetch(topic, 0, 0).data);
    const records: LoggedRecord<V>[] = [];
    for (let i = 0; i < batch.length; i++) {
      const at = keyText(batch, i) ?? "";
      const decoded = decodeKey(spec.layout, at);
      if (decoded === undefined) continue;
      const bytes = valueBytes(batch, i);
      const stored = bytes === null ? null : codec.decode(at, bytes).value;
      const value = spec.layout?.kind === "versioned" && Array.isArray(stored) ? stored[0] : stored;
      records.push(publicEntry({ ...decoded, value, timestamp: batch.timestamps[i] ?? -1 }));
    }
    return records;
  }

  /** Records dropped so far (null keys, late ones, ...), as Kafka Streams counts them. */
  get droppedRecords(): number {
    return this.#tasks.reduce((sum, { task }) => sum + task.metrics.droppedTotal, this.#dropped);
  }

  /** Records that the function gave up on, with the headers that say why. */
  deadLetters(): OutputRecord[] {
    const { log, deadLetterTopic } = this.#parts;
    if (log.describe(deadLetterTopic) === undefined) return [];
    this.#read.set(deadLetterTopic, 0);
    return this.read(deadLetterTopic);
  }

  /**
   * Ends the tasks and starts them again: over their stores on disk, or (`wipe`) over empty ones that are restored from the
   * changelogs. `crash`: without a last commit, so that what came since is processed again.
   */
  async restart({ wipe = false, crash = false }: { readonly wipe?: boolean; readonly crash?: boolean } = {}): Promise<void> {
    if (!crash) this.commit();
    this.#dropped = this.droppedRecords;
    for (const task of this.#tasks) await task.close();
    this.#parts.underway.length = 0;
    this.#tasks = await this.#parts.open({ wipe });
    this.#readGlobals();
    this.#replay();
  }

  /** Ends everything and removes the temporary directory. Closing twice is harmless. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const task of this.#tasks) await task.close();
    await this.#parts.remove();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #open(): void {
    if (this.#closed) throw new KeyfoldError("store-closed", "the test driver is closed");
  }

  #store(name: string): TaskStore {
    for (const { stores } of this.#tasks) {
      const store = stores.get(name);
      if (store !== undefined) return store;
    }
    const names = this.#tasks.flatMap(({ stores }) => [...stores.keys()]);
    throw new KeyfoldError("store-unknown", `there is no store "${name}"; there are ${names.join(", ") || "none"}`);
  }

  /** Records one at a time, in the order in which they were sent. */
  #run(): void {
    const { underway } = this.#parts;
    for (let topic = underway.shift(); topic !== undefined; topic = underway.shift()) {
      for (const task of this.#tasks) {
        for (const input of task.task.inputs) {
          if (input.topic === topic && task.loadOne(input)) this.#step(task);
        }
      }
    }
  }

  #step(driverTask: DriverTask): void {
    const { task } = driverTask;
    task.process(Number.POSITIVE_INFINITY);
    while (task.interrupt !== undefined) {
      this.#interrupted(driverTask);
      task.process(Number.POSITIVE_INFINITY);
    }
    this.#afterStep(driverTask);
  }

  #interrupted(driverTask: DriverTask): void {
    const { task } = driverTask;
    const { interrupt } = task;
    if (interrupt?.kind === "failed" || interrupt?.kind === "broken") throw interrupt.error;
    if (interrupt?.kind === "rollback" || (interrupt?.kind === "retry" && interrupt.dirty)) {
      task.rollback();
      driverTask.sent.length = 0;
      for (const input of task.inputs) while (driverTask.peek(input) !== undefined && driverTask.loadOne(input));
    }
    task.interrupt = undefined;
  }

  #afterStep(driverTask: DriverTask): void {
    const { commitIntervalMs, clock, atomic } = this.#parts;
    const { task } = driverTask;
    if (task.inFlight.size > 0) throw new KeyfoldError("function-invalid", "the test driver is synchronous: it cannot run async reducers");
    if (clock.now - this.#lastCommit >= commitIntervalMs || task.commitSoon) {
      this.#commit(driverTask);
      if (commitIntervalMs > 0) this.#lastCommit = clock.now;
    } else if (!atomic) this.#send(driverTask);
  }

  /** At least once: what was emitted goes out at once, ahead of the offsets. */
  #send({ task, sent }: DriverTask): void {
    this.#resolve(task);
    for (const { topic, partition, data } of task.collector.take()) this.#parts.log.append(topic, partition, data);
    this.#parts.underway.push(...sent.splice(0));
  }

  #commit(driverTask: DriverTask): void {
    const { log } = this.#parts;
    const { task } = driverTask;
    this.#resolve(task);
    let request = task.prepareCommit();
    if (task.interrupt?.kind === "failed" || task.interrupt?.kind === "broken") throw task.interrupt.error;
    if (task.interrupt !== undefined) {
      this.#step(driverTask);
      request = task.prepareCommit();
    }
    if (request === undefined) return;
    const bases = request.batches.map(({ topic, partition, data }) => {
      log.ensureTopic({ name: topic, partitions: 1 });
      return log.append(topic, partition, data);
    });
    log.commit(request.group, request.offsets);
    task.applyCommit(bases);
    this.#parts.underway.push(...driverTask.sent.splice(0));
    // A flush may have emitted to a topic that was not known yet.
    if (task.collector.unresolved().length > 0) this.#send(driverTask);
  }

  #resolve(task: DriverTask["task"]): void {
    for (const topic of task.collector.unresolved()) {
      this.#parts.log.ensureTopic({ name: topic, partitions: 1 });
      task.collector.setPartitions(topic, 1);
    }
  }

  /** Global tables are read from their beginning at every start. */
  #readGlobals(): void {
    for (const task of this.#tasks) {
      for (const input of task.task.inputs) {
        if (input.source.global !== true) continue;
        while (task.loadOne(input)) task.task.process(Number.POSITIVE_INFINITY);
      }
    }
  }

  /** After a crash: what lies between the committed offsets and the ends, by timestamp. */
  #replay(): void {
    for (;;) {
      let first: { task: DriverTask; input: DriverTask["task"]["inputs"][number]; time: number } | undefined;
      for (const task of this.#tasks) {
        for (const input of task.task.inputs) {
          const time = task.peek(input);
          if (time !== undefined && (first === undefined || time < first.time)) first = { task, input, time };
        }
      }
      if (first === undefined) return;
      first.task.loadOne(first.input);
      this.#step(first.task);
      this.#parts.underway.length = 0;
    }
  }
}

/** Tests may be JavaScript, or cast. */
function checkRecord({ key, value }: { readonly key: unknown; readonly value: unknown }): void {
  if (key !== null && typeof key !== "string") throw new TypeError(`a record's key is a string or null, not ${typeof key}`);
  if (value === undefined) throw new TypeError("a record has a value; a tombstone has null");
}

function headersOf(headers: InputRecord["headers"]): Headers | null {
  return headers === undefined ? null : Object.entries(headers).map(([name, value]) => [name, Buffer.from(value)] as const);
}

function publicEntry<V>(entry: {
  readonly key: string;
  readonly start?: number;
  readonly end?: number;
  readonly value: unknown;
  readonly timestamp: number;
}): StoreEntry<V> {
  const { key, start, end, value, timestamp } = entry;
  const window = start === undefined || end === undefined ? {} : { windowStart: start, windowEnd: end };
  return { key, ...window, value: value as V, timestamp };
}

function byKeyThenWindow(a: StoreEntry, b: StoreEntry): number {
  if (a.key !== b.key) return a.key < b.key ? -1 : 1;
  return (a.windowStart ?? 0) - (b.windowStart ?? 0) || (a.windowEnd ?? 0) - (b.windowEnd ?? 0);
}
