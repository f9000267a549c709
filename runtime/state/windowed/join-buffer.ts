import type { TaskStore } from "../store.ts";
import { Marks } from "./marks.ts";
import { SegmentedStore } from "./segmented-store.ts";

const SEQUENCE_LENGTH = 10;

/**
 * The records of one side of a stream-stream join, kept as long as a record of the other side may still meet them.
 * Records of one key and time keep their order of arrival.
 */
export class JoinBuffer {
  readonly #entries: SegmentedStore;
  readonly marks: Marks<"streamTime" | "largest" | "sequence">;

  constructor(store: TaskStore, retentionMs: number) {
    this.marks = new Marks(store, ["streamTime", "largest", "sequence"]);
    this.#entries = new SegmentedStore(store, this.marks, retentionMs, SEQUENCE_LENGTH);
  }

  put(key: string, time: number, value: unknown): void {
    const sequence = this.marks.get("sequence") + 1;
    this.marks.set("sequence", sequence);
    this.#entries.put(key, time, sequence.toString(36).padStart(SEQUENCE_LENGTH, "0"), value, time);
  }

  /** Records of the key with from <= time <= to, by time, then arrival. */
  *fetch(key: string, from: number, to: number): IterableIterator<[time: number, value: unknown]> {
    for (const [at, entry] of this.#entries.fetch(key, from, to)) yield [this.#entries.timeOf(at), entry.value];
  }

  beforeFlush(): void {
    this.#entries.beforeFlush();
  }
}
