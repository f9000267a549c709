import type { TaskStore } from "../store.ts";
import { MARKS_KEY, Marks } from "./marks.ts";
import { TIME_LENGTH, timeAt, timeKey } from "./time-key.ts";

export type Side = "left" | "right";

export interface UnmatchedRecord {
  readonly at: string;
  readonly side: Side;
  readonly key: string;
  readonly time: number;
  readonly value: unknown;
}

const SEQUENCE_LENGTH = 10;
const SIDES: Readonly<Record<Side, string>> = { right: "0", left: "1" };

/**
 * Records of an outer join that have met no other yet: `<time><side><key>\0<sequence>`, in the order in which they come
 * out: by time, then right before left, then key, then arrival.
 */
export class Unmatched {
  readonly #store: TaskStore;
  readonly #marks: Marks<"sequence">;
  /** Time of the first one, or a time before it; Infinity when there is none. */
  #earliest: number;

  constructor(store: TaskStore) {
    this.#store = store;
    this.#marks = new Marks(store, ["sequence"]);
    this.#earliest = Number.POSITIVE_INFINITY;
    for (const record of this.#records()) {
      this.#earliest = record.time;
      break;
    }
  }

  put(side: Side, key: string, time: number, value: unknown): void {
    const sequence = this.#marks.get("sequence") + 1;
    this.#marks.set("sequence", sequence);
    this.#store.put(`${this.#prefix(side, key, time)}${sequence.toString(36).padStart(SEQUENCE_LENGTH, "0")}`, value, time);
    if (time < this.#earliest) this.#earliest = time;
  }

  /** The records of a side with this key and time have met another one. */
  matched(side: Side, key: string, time: number): void {
    if (time < this.#earliest) return;
    const prefix = this.#prefix(side, key, time);
    const met: string[] = [];
    for (const [at] of this.#store.prefix(prefix)) if (at.length === prefix.length + SEQUENCE_LENGTH) met.push(at);
    for (const at of met) this.#store.delete(at, time);
  }

  /** Takes out those for which it is too late, in order: a side's record is due when its time < the side's bound. */
  *due(leftBefore: number, rightBefore: number): IterableIterator<UnmatchedRecord> {
    const last = Math.max(leftBefore, rightBefore);
    if (this.#earliest >= last) return;
    let earliest = Number.POSITIVE_INFINITY;
    for (const record of this.#records()) {
      if (record.time >= (record.side === "left" ? leftBefore : rightBefore)) {
        if (record.time < earliest) earliest = record.time;
        if (record.time >= last) break;
        continue;
      }
      this.#store.delete(record.at, record.time);
      yield record;
    }
    this.#earliest = earliest;
  }

  beforeFlush(): void {
    this.#marks.save();
  }

  *#records(): IterableIterator<UnmatchedRecord> {
    for (const [at, entry] of this.#store.range("0")) {
      if (at === MARKS_KEY) continue;
      yield {
        at,
        time: timeAt(at, 0),
        side: at[TIME_LENGTH] === SIDES.left ? "left" : "right",
        key: at.slice(TIME_LENGTH + 1, at.length - SEQUENCE_LENGTH - 1),
        value: entry.value,
      };
    }
  }

  #prefix(side: Side, key: string, time: number): string {
    return `${timeKey(time)}${SIDES[side]}${key}\0`;
  }
}
