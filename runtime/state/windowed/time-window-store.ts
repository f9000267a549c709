import type { Stamped, TaskStore } from "../store.ts";
import { Expiry } from "./expiry.ts";
import { MARKS_KEY, Marks } from "./marks.ts";
import { TIME_LENGTH, TimeKeys, timeAt, timeKey } from "./time-key.ts";

/** One window of one key, decoded from a store key. */
export interface WindowRow {
  readonly key: string;
  readonly start: number;
  readonly end: number;
}

/**
 * Tumbling and hopping windows: `<start><key>`. Windows that close together lie together, and so do those that expire
 * together. An entry is seen while start > (largest start ever put) - retention.
 */
export class TimeWindowStore {
  readonly store: TaskStore;
  readonly marks: Marks<"streamTime" | "largestStart" | "emitted">;
  readonly #sizeMs: number;
  readonly #retentionMs: number;
  readonly #expiry: Expiry;
  readonly #times = new TimeKeys();

  constructor(store: TaskStore, sizeMs: number, retentionMs: number) {
    this.store = store;
    this.#sizeMs = sizeMs;
    this.#retentionMs = retentionMs;
    this.marks = new Marks(store, ["streamTime", "largestStart", "emitted"]);
    this.#expiry = new Expiry(store, retentionMs);
  }

  get(key: string, start: number): Stamped | undefined {
    return this.live(start) ? this.store.get(this.#times.of(start) + key) : undefined;
  }

  /** null deletes. What has expired already is not written. */
  put(key: string, start: number, value: unknown, timestamp: number): void {
    this.marks.raise("largestStart", start);
    if (!this.live(start)) return;
    const at = this.#times.of(start) + key;
    if (value === null) this.store.delete(at, timestamp);
    else this.store.put(at, value, timestamp);
  }

  /** Windows with from <= start <= to in order of start, then key, expired or not. */
  *starting(from: number, to: number): IterableIterator<[row: WindowRow, entry: Stamped]> {
    for (const [at, entry] of this.store.range(timeKey(Math.max(0, from)), timeKey(to + 1))) {
      yield [this.row(at), entry];
    }
  }

  row(at: string): WindowRow {
    const start = timeAt(at, 0);
    return { key: at.slice(TIME_LENGTH), start, end: start + this.#sizeMs };
  }

  /** Every window that can be seen, in order of start, then key. */
  *rows(): IterableIterator<[row: WindowRow, entry: Stamped]> {
    for (const [at, entry] of this.store.range()) {
      if (at !== MARKS_KEY && this.live(timeAt(at, 0))) yield [this.row(at), entry];
    }
  }

  /** Start of the last window, found in the store: marks are put there only once a commit. */
  newest(): number {
    for (const [at] of this.store.range("0", undefined, { reverse: true })) return timeAt(at, 0);
    return -1;
  }

  /** At each round of a commit's flushing. */
  beforeFlush(): void {
    this.marks.save();
    this.#expiry.drop(this.marks.get("largestStart") - this.#retentionMs + 1);
  }

  /** Whether a window can be seen. */
  live(start: number): boolean {
    return start > this.marks.get("largestStart") - this.#retentionMs;
  }
}
