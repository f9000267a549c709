import type { TaskStore } from "../store.ts";
import { TIME_LENGTH, timeAt, timeKey } from "./time-key.ts";

/**
 * Windows that wait to be emitted when they close, in the order in which they will be: `<time><key>\0<other time>`. Used
 * where the windows' own store is ordered by key. An entry is there exactly while its window is open.
 */
export class ClosingIndex {
  readonly #store: TaskStore;

  constructor(store: TaskStore) {
    this.#store = store;
  }

  add(time: number, key: string, other: number, timestamp: number): void {
    this.#store.put(this.#at(time, key, other), 1, timestamp);
  }

  remove(time: number, key: string, other: number, timestamp: number): void {
    this.#store.delete(this.#at(time, key, other), timestamp);
  }

  /** Windows with a time of at most `to`, in order. */
  *upTo(to: number): IterableIterator<[time: number, key: string, other: number]> {
    if (to < 0) return;
    for (const [at] of this.#store.range("0", timeKey(to + 1))) {
      yield [timeAt(at, 0), at.slice(TIME_LENGTH, at.length - TIME_LENGTH - 1), timeAt(at, at.length - TIME_LENGTH)];
    }
  }

  #at(time: number, key: string, other: number): string {
    return `${timeKey(time)}${key}\0${timeKey(other)}`;
  }
}
