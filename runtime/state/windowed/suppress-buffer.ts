import { estimateBytes } from "../estimate.ts";
import type { TaskStore } from "../store.ts";
import { Marks } from "./marks.ts";
import { TIME_LENGTH, timeAt, timeKey } from "./time-key.ts";

export interface Held {
  readonly key: string;
  readonly value: unknown;
  /** The row as those downstream know it. */
  readonly before: unknown;
  readonly timestamp: number;
}

/** [value, row before]: either may be null. */
type Stored = readonly [value: unknown, before: unknown];

const ENTRY_BYTES = 48;

/** How keys are written in the store, so that they sort as their records should come out. */
export interface KeyForm {
  encode(key: string): string;
  decode(text: string): string;
}

/**
 * Updates that wait: `<time><key>` in the store, and the time of each key in memory, read again from the store at every
 * start. An update of a key that waits takes its place.
 */
export class SuppressBuffer {
  readonly #store: TaskStore;
  readonly marks: Marks<"streamTime">;
  readonly #times = new Map<string, number>();
  readonly #form: KeyForm;
  #earliest = Number.POSITIVE_INFINITY;
  #bytes = 0;

  constructor(store: TaskStore, form: KeyForm) {
    this.#store = store;
    this.#form = form;
    this.marks = new Marks(store, ["streamTime"]);
    for (const [at, entry] of store.range("0")) {
      const time = timeAt(at, 0);
      if (this.#times.size === 0) this.#earliest = time;
      this.#times.set(form.decode(at.slice(TIME_LENGTH)), time);
      this.#bytes += size(at, entry.value as Stored);
    }
  }

  get records(): number {
    return this.#times.size;
  }

  /** Of keys and values, estimated. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Time of the first entry; Infinity when there is none. */
  get earliest(): number {
    return this.#earliest;
  }

  over(maxRecords: number | undefined, maxBytes: number | undefined): boolean {
    return this.#times.size > (maxRecords ?? Number.POSITIVE_INFINITY) || this.#bytes > (maxBytes ?? Number.POSITIVE_INFINITY);
  }

  get(key: string): Held | undefined {
    const time = this.#times.get(key);
    const entry = time === undefined ? undefined : this.#store.get(timeKey(time) + this.#form.encode(key));
    if (entry === undefined) return undefined;
    const [value, before] = entry.value as Stored;
    return { key, value, before, timestamp: entry.timestamp };
  }

  put(key: string, time: number, value: unknown, old: unknown, timestamp: number): void {
    const place = this.#times.get(key) ?? time;
    const at = timeKey(place) + this.#form.encode(key);
    const held = this.#store.get(at);
    let before = old;
    if (held === undefined) {
      this.#times.set(key, place);
      if (place < this.#earliest) this.#earliest = place;
    } else {
      before = (held.value as Stored)[1];
      this.#bytes -= size(at, held.value as Stored);
    }
    const stored: Stored = [value, before];
    this.#bytes += size(at, stored);
    this.#store.put(at, stored, timestamp);
  }

  takeFirst(): Held | undefined {
    let first: Held | undefined;
    for (const [at, entry] of this.#store.range("0")) {
      const time = timeAt(at, 0);
      if (first !== undefined) {
        this.#earliest = time;
        return first;
      }
      const key = this.#form.decode(at.slice(TIME_LENGTH));
      const [value, before] = entry.value as Stored;
      first = { key, value, before, timestamp: entry.timestamp };
      this.#store.delete(at, entry.timestamp);
      this.#times.delete(key);
      this.#bytes -= size(at, entry.value as Stored);
    }
    this.#earliest = Number.POSITIVE_INFINITY;
    return first;
  }

  beforeFlush(): void {
    this.marks.save();
  }
}

function size(at: string, stored: Stored): number {
  return ENTRY_BYTES + at.length + estimateBytes(stored[0]);
}
