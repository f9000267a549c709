import type { TaskStore } from "../store.ts";
import { AFTER_TIMES, TIME_LENGTH, timeAt, timeKey } from "./time-key.ts";

const TOUCHED = "k";
const DUE = "t";

/**
 * Which keys expire when. `k<key>` holds when a key was last touched; `t<due><key>` puts it in the queue. A touch leaves the
 * queue as it is: only when its turn comes is a key put back to where it belongs by then, so that busy keys cost one write.
 */
export class ExpiryQueue {
  readonly #store: TaskStore;
  readonly #ttlMs: number;
  /** No key is due before this; Infinity when there is none. */
  #earliest = Number.POSITIVE_INFINITY;

  constructor(store: TaskStore, ttlMs: number) {
    this.#store = store;
    this.#ttlMs = ttlMs;
    this.#findEarliest();
  }

  get earliest(): number {
    return this.#earliest;
  }

  /** `timestamp` goes with the changelog records. */
  touch(key: string, now: number, timestamp: number): void {
    const before = this.#store.get(TOUCHED + key)?.value as number | undefined;
    if (before !== undefined && before >= now) return;
    this.#store.put(TOUCHED + key, now, timestamp);
    if (before === undefined) this.#queue(key, now + this.#ttlMs, timestamp);
  }

  forget(key: string, timestamp: number): void {
    this.#store.delete(TOUCHED + key, timestamp);
  }

  /** Takes out the keys that are due, in order of their queued times, then key. */
  *takeDue(now: number, timestamp: number): IterableIterator<string> {
    for (const [at] of this.#store.range(`${DUE}0`, DUE + timeKey(now + 1))) {
      const key = at.slice(1 + TIME_LENGTH);
      this.#store.delete(at, timestamp);
      const touched = this.#store.get(TOUCHED + key)?.value as number | undefined;
      if (touched === undefined) continue;
      if (touched + this.#ttlMs > now) {
        this.#queue(key, touched + this.#ttlMs, timestamp);
        continue;
      }
      this.#store.delete(TOUCHED + key, timestamp);
      yield key;
    }
    this.#findEarliest();
  }

  #queue(key: string, due: number, timestamp: number): void {
    this.#store.put(DUE + timeKey(due) + key, 1, timestamp);
    if (due < this.#earliest) this.#earliest = due;
  }

  #findEarliest(): void {
    this.#earliest = Number.POSITIVE_INFINITY;
    for (const [at] of this.#store.range(`${DUE}0`, DUE + AFTER_TIMES)) {
      this.#earliest = timeAt(at, 1);
      return;
    }
  }
}
