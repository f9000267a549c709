import type { Stamped, TaskStore } from "../store.ts";
import { Expiry, segmentMs, segmentOf } from "./expiry.ts";
import type { Marks } from "./marks.ts";
import { AFTER_TIMES, TIME_LENGTH, timeAt, timeKey } from "./time-key.ts";

/**
 * Entries of a key by time: `<segment><key>\0<time><rest>`, where `rest` has a fixed length. Those of a key lie together
 * within a segment; segments expire as a whole. An entry is seen while time > (largest time ever put) - retention.
 */
export class SegmentedStore {
  readonly store: TaskStore;
  readonly marks: Marks<"streamTime" | "largest" | "sequence">;
  readonly #segmentMs: number;
  readonly #retentionMs: number;
  readonly #restLength: number;
  readonly #expiry: Expiry;

  constructor(store: TaskStore, marks: Marks<"streamTime" | "largest" | "sequence">, retentionMs: number, restLength: number) {
    this.store = store;
    this.marks = marks;
    this.#retentionMs = retentionMs;
    this.#segmentMs = segmentMs(retentionMs);
    this.#restLength = restLength;
    this.#expiry = new Expiry(store, retentionMs);
  }

  /** Whether an entry of this time can be seen. */
  live(time: number): boolean {
    return time > this.marks.get("largest") - this.#retentionMs;
  }

  get(key: string, time: number, rest: string): Stamped | undefined {
    return this.live(time) ? this.getAny(key, time, rest) : undefined;
  }

  /** Expired or not. */
  getAny(key: string, time: number, rest: string): Stamped | undefined {
    return this.store.get(this.#at(key, time, rest));
  }

  /** null deletes. What has expired already is not written. */
  put(key: string, time: number, rest: string, value: unknown, timestamp: number): void {
    this.marks.raise("largest", time);
    if (!this.live(time)) return;
    const at = this.#at(key, time, rest);
    if (value === null) this.store.delete(at, timestamp);
    else this.store.put(at, value, timestamp);
  }

  delete(key: string, time: number, rest: string, timestamp: number): void {
    this.store.delete(this.#at(key, time, rest), timestamp);
  }

  /**
   * Live entries of a key with from <= time <= to, by time, then `rest`; `reverse` from the last one. `newest`: no entry is
   * newer; for readers other than the operator, which knows it.
   */
  *fetch(
    key: string,
    from: number,
    to: number,
    reverse = false,
    newest = this.marks.get("largest"),
  ): IterableIterator<[at: string, entry: Stamped]> {
    const low = Math.max(0, from, this.marks.get("largest") - this.#retentionMs + 1);
    const high = Math.min(to, newest);
    if (low > high) return;
    const first = segmentOf(low, this.#segmentMs);
    const last = segmentOf(high, this.#segmentMs);
    const length = TIME_LENGTH + key.length + 1 + TIME_LENGTH + this.#restLength;
    for (
      let segment = reverse ? last : first;
      reverse ? segment >= first : segment <= last;
      segment += reverse ? -this.#segmentMs : this.#segmentMs
    ) {
      const prefix = `${timeKey(segment)}${key}\0`;
      for (const row of this.store.range(prefix + timeKey(low), prefix + timeKey(high) + AFTER_TIMES, { reverse })) {
        // A key that goes on with a zero character and digits may lie in between.
        if (row[0].length === length) yield row;
      }
    }
  }

  /** End of the last segment, found in the store: marks are put there only once a commit. */
  newest(): number {
    for (const [at] of this.store.range("0", undefined, { reverse: true })) return timeAt(at, 0) + this.#segmentMs - 1;
    return -1;
  }

  /** Every live entry, by segment, key and time. */
  *entries(): IterableIterator<[at: string, entry: Stamped]> {
    for (const row of this.store.range("0")) if (this.live(this.timeOf(row[0]))) yield row;
  }

  keyOf(at: string): string {
    return at.slice(TIME_LENGTH, at.length - 1 - TIME_LENGTH - this.#restLength);
  }

  timeOf(at: string): number {
    return timeAt(at, at.length - TIME_LENGTH - this.#restLength);
  }

  restOf(at: string): string {
    return at.slice(at.length - this.#restLength);
  }

  beforeFlush(): void {
    this.marks.save();
    this.#expiry.drop(this.marks.get("largest") - this.#retentionMs + 1);
  }

  #at(key: string, time: number, rest: string): string {
    return `${timeKey(segmentOf(time, this.#segmentMs))}${key}\0${timeKey(time)}${rest}`;
  }
}
