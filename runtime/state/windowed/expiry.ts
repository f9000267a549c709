import type { TaskStore } from "../store.ts";
import { timeKey } from "./time-key.ts";

/**
 * Drops the expired part of a store whose keys begin with a time, in whole segments: one range deletion for each half
 * retention, and only while no dirty entry could be lost by it.
 */
export class Expiry {
  readonly #store: TaskStore;
  readonly #segmentMs: number;
  /** Everything before this is dropped. */
  #dropped = 0;

  constructor(store: TaskStore, retentionMs: number) {
    this.#store = store;
    this.#segmentMs = segmentMs(retentionMs);
  }

  /** `before`: the first time that is still live. Segments that end before it are dropped. */
  drop(before: number): void {
    const bound = Math.floor(before / this.#segmentMs) * this.#segmentMs;
    if (bound <= this.#dropped || this.#store.dirty) return;
    this.#store.dropRange("0", timeKey(bound));
    this.#dropped = bound;
  }
}

/** Length of a segment, as in Kafka Streams: half the retention. */
export function segmentMs(retentionMs: number): number {
  return Math.max(1, Math.floor(retentionMs / 2));
}

/** Start of the segment that holds a time. */
export function segmentOf(time: number, length: number): number {
  return Math.floor(time / length) * length;
}
