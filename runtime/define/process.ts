import type { Headers } from "../log/record-batch.ts";
import type { Stamped } from "../state/store.ts";
import type { Cancellable, PunctuationType, TaskLogger } from "../topology/topology.ts";
import type { EmitOptions, TableView } from "./context.ts";

/** A record in the low-level form. */
export interface StreamRecord<V = unknown> {
  readonly key: string | null;
  readonly value: V;
  /** Event time, epoch ms. */
  readonly timestamp: number;
}

/** A named store of a processor. Keys are ordered by their UTF-8 bytes; values given out must not be changed in place. */
export interface ProcessStore<V = unknown> {
  get(key: string): V | undefined;
  /** With its timestamp. */
  getStamped(key: string): Stamped<V> | undefined;
  /** null deletes. The timestamp, default that of the record under way, goes with the entry and its changelog record. */
  put(key: string, value: V | null, timestamp?: number): void;
  delete(key: string): void;
  /** Entries with from <= key < to. */
  range(from?: string, to?: string, options?: { readonly reverse?: boolean }): IterableIterator<[key: string, value: V]>;
  prefix(prefix: string): IterableIterator<[key: string, value: V]>;
  /** Versioned stores (`history`): the value as of a time, epoch ms. */
  asOf(key: string, time: number): V | undefined;
}

/** What a processor works with. One object for the life of the task. */
export interface ProcessContext<Out = unknown> {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly headers: Headers | null;
  /** Event time of the record under way; in a schedule its time. Epoch ms. */
  readonly timestamp: number;
  readonly streamTime: number;
  store<V = unknown>(name: string): ProcessStore<V>;
  table<V = unknown>(name: string): TableView<V>;
  /** Hands a record on to the next step (or the sink). Default key: that of the record under way. */
  forward(value: Out, options?: { readonly key?: string | null; readonly timestamp?: number }): void;
  /** Sends a record to a topic. */
  emit(topic: string, value: unknown, options?: EmitOptions): void;
  /** Calls back at multiples of the interval (ms), by stream time or by wall clock. */
  schedule(interval: number, type: PunctuationType, callback: (now: number) => void): Cancellable;
  /** Wall clock of the task (virtual in the test driver), epoch ms. */
  wallClock(): number;
  readonly log: TaskLogger;
}

/** The low-level form: sees every record, null keys and values included. One is made for each task. */
export interface StreamProcessor<In = never, Out = unknown> {
  /** Called once, before the first record of a task and after every restart. */
  init?(ctx: ProcessContext<Out>): void;
  process(record: StreamRecord<In>, ctx: ProcessContext<Out>): void;
}
