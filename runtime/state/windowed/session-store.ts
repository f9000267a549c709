import type { Stamped, TaskStore } from "../store.ts";
import { Marks } from "./marks.ts";
import { SegmentedStore } from "./segmented-store.ts";
import { TIME_LENGTH, timeAt, timeKey } from "./time-key.ts";
import type { WindowRow } from "./time-window-store.ts";

export interface Session {
  readonly start: number;
  readonly end: number;
  readonly value: unknown;
}

/** Sessions of a key by their ends: a segmented store with the end as time and the start as the rest of the key. */
export class SessionStore {
  readonly entries: SegmentedStore;
  readonly marks: Marks<"streamTime" | "largest" | "sequence" | "emitted">;

  constructor(store: TaskStore, retentionMs: number) {
    this.marks = new Marks(store, ["streamTime", "largest", "sequence", "emitted"]);
    this.entries = new SegmentedStore(store, this.marks, retentionMs, TIME_LENGTH);
  }

  /** Sessions of the key with end >= earliestEnd and start <= latestStart, in time order. `newest`: see SegmentedStore.fetch. */
  find(key: string, earliestEnd: number, latestStart: number, newest?: number): Session[] {
    const found: Session[] = [];
    for (const [at, entry] of this.entries.fetch(key, earliestEnd, Number.MAX_SAFE_INTEGER, false, newest)) {
      const { start, end } = this.row(at);
      // Sessions of a key do not overlap: the order of ends is that of starts.
      if (start > latestStart) break;
      found.push({ start, end, value: entry.value });
    }
    return found;
  }

  /** Expired or not. */
  get(key: string, start: number, end: number): Stamped | undefined {
    return this.entries.getAny(key, end, timeKey(start));
  }

  /** null deletes. */
  put(key: string, start: number, end: number, value: unknown, timestamp: number): void {
    this.entries.put(key, end, timeKey(start), value, timestamp);
  }

  row(at: string): WindowRow {
    return { key: this.entries.keyOf(at), start: timeAt(at, at.length - TIME_LENGTH), end: this.entries.timeOf(at) };
  }

  *rows(): IterableIterator<[row: WindowRow, entry: Stamped]> {
    for (const [at, entry] of this.entries.entries()) yield [this.row(at), entry];
  }
}
