import type { Headers } from "../log/record-batch.ts";
import type { Cancellable, PunctuationType, TaskLogger } from "../topology/topology.ts";

export interface EmitOptions {
  /** Default: the key of the record under way. */
  readonly key?: string | null;
  readonly headers?: Headers;
  /** Event time, epoch ms. Default: that of the record under way. */
  readonly timestamp?: number;
}

/** Read-only view of a table the function declared under `tables`. */
export interface TableView<V = unknown> {
  /** The row as of now, or undefined. Never change it in place. */
  get(key: string): V | undefined;
}

/** What a reducer gets besides state and event. Valid during the call; an async reducer may go on using it until it returns. */
export interface ReducerContext {
  readonly key: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** Event time of the record, epoch ms. */
  readonly timestamp: number;
  readonly headers: Headers | null;
  /** Largest event time the task has seen, epoch ms. */
  readonly streamTime: number;
  /** Sends a record to a topic; discarded if the reducer then throws. */
  emit(topic: string, value: unknown, options?: EmitOptions): void;
  table<V = unknown>(name: string): TableView<V>;
  /** Calls back at multiples of the interval (ms), until cancelled or the task moves. */
  schedule(interval: number, type: PunctuationType, callback: (now: number) => void): Cancellable;
  /** The record's wall-clock time: the same again on a replay. Epoch ms. */
  now(): number;
  /** In [0, 1): the same sequence again on a replay. */
  random(): number;
  readonly log: TaskLogger;
  /** Aborted when the task stops or goes back to its last commit. */
  readonly signal: AbortSignal;
}
