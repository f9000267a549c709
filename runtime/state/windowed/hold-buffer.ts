import type { TaskStore } from "../store.ts";
import { Marks } from "./marks.ts";
import { TIME_LENGTH, timeAt, timeKey } from "./time-key.ts";

const SEQUENCE_LENGTH = 10;

/** Records that wait for their time: `<time><key>\0<sequence>`, in the order in which they come out. */
export class HoldBuffer {
  readonly #store: TaskStore;
  readonly marks: Marks<"streamTime" | "sequence">;
  #earliest = Number.POSITIVE_INFINITY;

  constructor(store: TaskStore) {
    this.#store = store;
    this.marks = new Marks(store, ["streamTime", "sequence"]);
    for (const [at] of store.range("0")) {
      this.#earliest = timeAt(at, 0);
      break;
    }
  }

  put(key: string, time: number, value: unknown): void {
    const sequence = this.marks.get("sequence") + 1;
    this.marks.set("sequence", sequence);
    this.#store.put(`${timeKey(time)}${key}\0${sequence.toString(36).padStart(SEQUENCE_LENGTH, "0")}`, value, time);
    if (time < this.#earliest) this.#earliest = time;
  }

  /** Takes out the records with a time of at most `last`, in time order. */
  *takeUpTo(last: number): IterableIterator<{ readonly key: string; readonly time: number; readonly value: unknown }> {
    if (this.#earliest > last) return;
    for (const [at, entry] of this.#store.range("0", timeKey(last + 1))) {
      const time = timeAt(at, 0);
      this.#store.delete(at, time);
      yield { key: at.slice(TIME_LENGTH, at.length - SEQUENCE_LENGTH - 1), time, value: entry.value };
    }
    this.#earliest = Number.POSITIVE_INFINITY;
    for (const [at] of this.#store.range("0")) {
      this.#earliest = timeAt(at, 0);
      break;
    }
  }

  beforeFlush(): void {
    this.marks.save();
  }
}
