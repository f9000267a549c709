import type { Stamped, TaskStore } from "../store.ts";
import { Marks } from "./marks.ts";
import { SegmentedStore } from "./segmented-store.ts";
import type { WindowRow } from "./time-window-store.ts";

/** Sliding windows of a key by their starts; all are equally long. */
export class SlidingWindowStore {
  readonly entries: SegmentedStore;
  readonly marks: Marks<"streamTime" | "largest" | "sequence" | "emitted">;
  readonly #diffMs: number;

  constructor(store: TaskStore, diffMs: number, retentionMs: number) {
    this.#diffMs = diffMs;
    this.marks = new Marks(store, ["streamTime", "largest", "sequence", "emitted"]);
    this.entries = new SegmentedStore(store, this.marks, retentionMs, 0);
  }

  /** Windows of the key with from <= start <= to, by start. `newest`: see SegmentedStore.fetch. */
  *fetch(key: string, from: number, to: number, reverse: boolean, newest?: number): IterableIterator<[start: number, entry: Stamped]> {
    for (const [at, entry] of this.entries.fetch(key, from, to, reverse, newest)) yield [this.entries.timeOf(at), entry];
  }

  /** Expired or not. */
  get(key: string, start: number): Stamped | undefined {
    return this.entries.getAny(key, start, "");
  }

  put(key: string, start: number, value: unknown, timestamp: number): void {
    this.entries.put(key, start, "", value, timestamp);
  }

  row(at: string): WindowRow {
    const start = this.entries.timeOf(at);
    return { key: this.entries.keyOf(at), start, end: start + this.#diffMs };
  }

  *rows(): IterableIterator<[row: WindowRow, entry: Stamped]> {
    for (const [at, entry] of this.entries.entries()) yield [this.row(at), entry];
  }
}
