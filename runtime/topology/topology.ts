import type { TopicConfig } from "../log/log.ts";
import type { Headers } from "../log/record-batch.ts";
import type { KeyValueStore, StoreSpec, TaskStore } from "../state/store.ts";

/**
 * A function's definition, compiled: pure data plus one `build` per subtopology. A *subtopology* is a part of the graph
 * that is connected without going through a topic; subtopology x partition = task.
 */
export interface Topology {
  readonly function: string;
  readonly subtopologies: readonly Subtopology[];
}

export interface Subtopology {
  readonly id: number;
  readonly sources: readonly SourceSpec[];
  readonly stores: readonly StoreSpec[];
  readonly sinks: readonly SinkSpec[];
  /** Topics this subtopology writes and another of the same function reads, by full name. */
  readonly repartitions: readonly RepartitionSpec[];
  /** What it does, for people (`keyfold topology`). */
  readonly steps: readonly StepInfo[];
  /** Wires one task's processors over its stores. Called at each (re)start of the task and at each swap of code. */
  build(context: TaskContext): TaskGraph;
}

/** One step of the graph, inputs before those that read them. Plain data: the manifest carries it. */
export interface StepInfo {
  /** Unique within the function. */
  readonly id: string;
  readonly op: string;
  /** What its stores and topics are called after. */
  readonly name: string;
  /** Ids of the steps whose results it takes ... */
  readonly from: readonly string[];
  /** ... and topics that it reads, */
  readonly reads: readonly string[];
  /** and topics that it writes. */
  readonly writes: readonly string[];
  readonly stores: readonly string[];
}

export interface SourceSpec {
  readonly topic: string;
  readonly codec: Codec;
  /** Event time from the value; default: the record's own timestamp. A negative or non-finite result drops the record (counted). */
  readonly timestamp?: (value: unknown, record: { key: string | null; timestamp: number; topic: string }) => number;
  /** Name of the store whose keys are this source's record keys, to be read ahead a batch at a time. */
  readonly prefetch?: string;
  /** A global table: every task reads all partitions, before it starts and ever after. */
  readonly global?: boolean;
}

export interface SinkSpec {
  /** Undefined: topic chosen at run time (ctx.emit). */
  readonly topic: string;
  readonly codec: Codec;
}

export interface RepartitionSpec {
  readonly topic: string;
  /** Undefined: the largest partition count among the topics co-partitioned with it. */
  readonly partitions?: number;
  readonly config?: TopicConfig;
}

/** Bytes to values and back. Errors thrown by `decode` make the record undecodable: the error policy decides. */
export interface Codec {
  readonly name: string;
  decode(bytes: Uint8Array): unknown;
  /** The same over bytes[start, end) of a batch's buffer: saves the hot path a view per record. What it returns is no view: the buffer's memory is given back after the batch. */
  decodeRange?(buffer: Buffer, start: number, end: number): unknown;
  encode(value: unknown): Uint8Array;
}

/** The record under way, as every processor of the task may see it; updated in place, never kept. */
export interface RecordContext {
  topic: string;
  partition: number;
  offset: number;
  timestamp: number;
  headers: Headers | null;
}

export type PunctuationType = "stream-time" | "wall-clock";

export interface Cancellable {
  cancel(): void;
}

/** What a task offers its processors. */
export interface TaskContext {
  readonly function: string;
  /** `<subtopology>_<partition>` */
  readonly task: string;
  readonly partition: number;
  readonly record: RecordContext;
  /** Largest timestamp of any record this task took, epoch ms; -1 before the first. */
  readonly streamTime: number;
  /** Wall clock of the task (virtual in the test driver), epoch ms. */
  wallClock(): number;
  store<V = unknown>(name: string): TaskStore<V>;
  /** A global table's store, shared read-only. */
  globalStore<V = unknown>(name: string): KeyValueStore<V>;
  /** Sends a record to a topic; the key picks the partition unless one is given. Discarded if the record under way fails. */
  emit(
    topic: string,
    codec: Codec,
    key: string | null,
    value: unknown,
    timestamp: number,
    headers?: Headers | null,
    partition?: number,
  ): void;
  /** Calls back with the current time, aligned to multiples of the interval (stream-time) or to the start (wall-clock). */
  schedule(intervalMs: number, type: PunctuationType, callback: (now: number) => void): Cancellable;
  /** Counts a record Kafka Streams would count under `dropped-records`. */
  dropped(reason: "null-key" | "null-value" | "late" | "expired" | "bad-timestamp"): void;
  readonly log: TaskLogger;
  /** Aborted when the task stops or is rolled back: for async reducers. */
  readonly signal: AbortSignal;
  /** Dev mode: states are deep-frozen, so a reducer that threw cannot have changed one in place. */
  readonly frozen: boolean;
}

export interface TaskLogger {
  debug(message: string, fields?: Record<string, unknown>): void;
  info(message: string, fields?: Record<string, unknown>): void;
  warn(message: string, fields?: Record<string, unknown>): void;
  error(message: string, fields?: Record<string, unknown>): void;
}

/** One task's processors, wired. */
export interface TaskGraph {
  /**
   * Processes one record of the source topic. `context.record` is set. A promise is returned only by graphs with an
   * async reducer; the task then keeps per-key order and waits for all before it commits.
   */
  process(topic: string, key: string | null, value: unknown, timestamp: number): void | Promise<void>;
  /**
   * Called at commit before each round of flushing stores (a flush may fill other stores, hence rounds): puts into the stores
   * what the processors hold in memory, such as stream times.
   */
  beforeFlush?(): void;
  close?(): void;
}
