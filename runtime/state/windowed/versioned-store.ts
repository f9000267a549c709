import type { Stamped, TaskStore } from "../store.ts";
import { segmentMs, segmentOf } from "./expiry.ts";
import { Marks } from "./marks.ts";
import { AFTER_TIMES, TIME_LENGTH, timeAt, timeKey } from "./time-key.ts";

/** What became of a put: it is the latest now, it went into the history, or it was too old for that. */
export type Placed = "latest" | "older" | "expired";

/** A row: [value, null for a deletion]. History rows have the time at which they were replaced as well. */
type Row = readonly [value: unknown, until?: number];

const LATEST = "k";
const AFTER_LATEST = "l";
const HISTORY = "v";
const GONE = "d";

/**
 * Rows with their history: `k<key>` is the latest, `v<segment><key>\0<from>` an older one, in the segment of the time at
 * which it was replaced. Segments expire as a whole once they lie further back than the history goes. A deletion is a
 * latest row too, as long as older records may come; `d<time><key>` tells when it need not be kept any longer.
 */
export class VersionedStore {
  readonly store: TaskStore;
  readonly #historyMs: number;
  readonly #segmentMs: number;
  readonly #marks: Marks<"largest">;
  #dropped = 0;

  constructor(store: TaskStore, historyMs: number) {
    this.store = store;
    this.#historyMs = historyMs;
    this.#segmentMs = segmentMs(historyMs);
    this.#marks = new Marks(store, ["largest"]);
  }

  get(key: string): Stamped | undefined {
    return live(this.store.get(LATEST + key));
  }

  /** The row that was the latest at a time, as far as the history goes back. */
  asOf(key: string, time: number): Stamped | undefined {
    const latest = this.store.get(LATEST + key);
    if (latest === undefined) return undefined;
    if (latest.timestamp <= time) return live(latest);
    const largest = this.#marks.get("largest");
    if (time < largest - this.#historyMs) return undefined;
    const found = this.#covering(key, time, latest.timestamp);
    return found === undefined ? undefined : live({ value: [found.row[0]], timestamp: found.from });
  }

  /** null deletes. */
  put(key: string, value: unknown, timestamp: number): Placed {
    if (timestamp < this.#marks.get("largest") - this.#historyMs) return "expired";
    this.#marks.raise("largest", timestamp);
    const latest = this.store.get(LATEST + key);
    if (latest === undefined || timestamp >= latest.timestamp) {
      if (latest !== undefined && timestamp > latest.timestamp) this.#putOlder(key, latest.timestamp, (latest.value as Row)[0], timestamp);
      this.store.put(LATEST + key, [value], timestamp);
      if (value === null) this.store.put(GONE + timeKey(timestamp) + key, 1, timestamp);
      return "latest";
    }
    const around = this.#covering(key, timestamp, latest.timestamp);
    if (around === undefined) this.#putOlder(key, timestamp, value, this.#nextAfter(key, timestamp, latest.timestamp));
    else if (around.from === timestamp) this.store.put(around.at, [value, around.row[1]], timestamp);
    else {
      const until = around.row[1] as number;
      this.store.delete(around.at, timestamp);
      this.#putOlder(key, around.from, around.row[0], timestamp);
      this.#putOlder(key, timestamp, value, until);
    }
    return "older";
  }

  /** The latest rows with from <= key < to, in key order. */
  *rows(from = "", to?: string): IterableIterator<[key: string, entry: Stamped]> {
    for (const [at, entry] of this.store.range(LATEST + from, to === undefined ? AFTER_LATEST : LATEST + to)) {
      const row = live(entry);
      if (row !== undefined) yield [at.slice(1), row];
    }
  }

  beforeFlush(): void {
    this.#marks.save();
    const bound = segmentOf(this.#marks.get("largest") - this.#historyMs, this.#segmentMs);
    if (bound <= this.#dropped || this.store.dirty) return;
    this.store.dropRange(`${HISTORY}0`, HISTORY + timeKey(bound));
    this.#dropped = bound;
    for (const [at] of this.store.range(`${GONE}0`, GONE + timeKey(bound))) {
      const key = at.slice(GONE.length + TIME_LENGTH);
      const latest = this.store.get(LATEST + key);
      if (latest !== undefined && latest.timestamp < bound && (latest.value as Row)[0] === null) this.store.delete(LATEST + key, bound);
      this.store.delete(at, bound);
    }
  }

  /** The history row with from <= time < until. `latest`: time of the latest row, before which all others ended. */
  #covering(key: string, time: number, latest: number): { at: string; from: number; row: Row } | undefined {
    for (const prefix of this.#segments(key, time, latest)) {
      for (const [at, entry] of this.store.range(prefix, prefix + timeKey(time) + AFTER_TIMES, { reverse: true })) {
        if (at.length !== prefix.length + TIME_LENGTH) continue;
        const row = entry.value as Row;
        if ((row[1] as number) > time) return { at, from: timeAt(at, prefix.length), row };
        break;
      }
    }
    return undefined;
  }

  /** Start of the first row after a time before which the history has a gap. */
  #nextAfter(key: string, time: number, latest: number): number {
    for (const prefix of this.#segments(key, time, latest)) {
      for (const [at] of this.store.range(prefix + timeKey(time + 1), prefix + AFTER_TIMES)) {
        if (at.length === prefix.length + TIME_LENGTH) return timeAt(at, prefix.length);
      }
    }
    return latest;
  }

  /** Prefixes of a key in the segments whose rows ended after a time, oldest first. */
  *#segments(key: string, time: number, latest: number): Iterable<string> {
    for (let segment = segmentOf(time, this.#segmentMs); segment <= latest; segment += this.#segmentMs)
      yield `${HISTORY}${timeKey(segment)}${key}\0`;
  }

  #putOlder(key: string, from: number, value: unknown, until: number): void {
    this.store.put(`${HISTORY}${timeKey(segmentOf(until, this.#segmentMs))}${key}\0${timeKey(from)}`, [value, until], from);
  }
}

function live(entry: Stamped | undefined): Stamped | undefined {
  if (entry === undefined) return undefined;
  const [value] = entry.value as Row;
  return value === null ? undefined : { value, timestamp: entry.timestamp };
}
