import { windowedKey } from "../define/windowed-key.ts";
import type { SlidingWindows } from "../define/windows.ts";
import type { Stamped } from "../state/store.ts";
import type { ClosingIndex } from "../state/windowed/closing-index.ts";
import { MARKS_KEY } from "../state/windowed/marks.ts";
import type { SlidingWindowStore } from "../state/windowed/sliding-window-store.ts";
import type { TaskContext } from "../topology/topology.ts";
import { type Aggregator, UNCHANGED } from "./aggregator.ts";
import { rowValue } from "./rows.ts";
import type { Flushing, StreamTarget, TableTarget } from "./targets.ts";
import type { WindowAggregateOptions } from "./window-aggregate.ts";

/**
 * Aggregation by key and sliding window: one window ends at each record, and one starts just after each record that has
 * a later one within reach. The algorithm is Kafka Streams' (KIP-450): an entry's timestamp is the largest in its window,
 * which tells of the records in it without keeping them.
 */
export class SlidingAggregate implements StreamTarget, Flushing {
  readonly #context: TaskContext;
  readonly #windows: SlidingWindows;
  readonly #store: SlidingWindowStore;
  readonly #closing: ClosingIndex | undefined;
  readonly #options: WindowAggregateOptions;
  readonly #aggregator: Aggregator;
  readonly #next: TableTarget;
  readonly #forwards: boolean;
  #closeTime = 0;
  #isLate = false;

  constructor(
    context: TaskContext,
    windows: SlidingWindows,
    store: SlidingWindowStore,
    closing: ClosingIndex | undefined,
    options: WindowAggregateOptions,
    next: TableTarget,
  ) {
    this.#context = context;
    this.#windows = windows;
    this.#store = store;
    this.#closing = closing;
    this.#options = options;
    this.#aggregator = options.aggregator;
    this.#next = next;
    const { cached } = store.entries.store;
    this.#forwards = !options.onClose && !cached;
    if (!options.onClose && cached) {
      store.entries.store.onFlush((at, after, before, timestamp) => {
        if (at === MARKS_KEY) return;
        const { key, start, end } = store.row(at);
        const time = after === undefined ? timestamp : after.timestamp;
        next.update(windowedKey(key, start, end), rowValue(after), options.sendOld ? rowValue(before) : null, time, true);
      });
    }
  }

  process(key: string | null, value: unknown, timestamp: number): void {
    if (key === null || value === null) {
      this.#context.dropped(key === null ? "null-key" : "null-value");
      return;
    }
    const { diffMs, graceMs } = this.#windows;
    this.#closeTime = this.#store.marks.raise("streamTime", timestamp) - graceMs;
    this.#isLate = false;
    if (timestamp + diffMs < this.#closeTime) this.#drop();
    else if (timestamp < diffMs) this.#early(key, value, timestamp);
    else this.#inOrder(key, value, timestamp);
    if (this.#isLate) this.#options.late.late(key, value, timestamp);
    if (this.#closing !== undefined) this.#emitClosed(this.#closing, this.#closeTime - diffMs - 1, timestamp);
  }

  beforeFlush(): void {
    this.#store.entries.beforeFlush();
  }

  #inOrder(key: string, value: unknown, timestamp: number): void {
    const { diffMs } = this.#windows;
    const starts = new Set<number>();
    let left: Stamped | undefined;
    let right: Stamped | undefined;
    let leftExists = false;
    let previous = -1;
    for (const [start, entry] of this.#store.fetch(key, Math.max(0, timestamp - 2 * diffMs), timestamp + 1, true)) {
      starts.add(start);
      const end = start + diffMs;
      if (start === timestamp + 1) continue;
      if (end > timestamp) {
        right ??= entry;
        this.#update(key, start, entry, value, timestamp);
      } else if (end === timestamp) {
        leftExists = true;
        this.#update(key, start, entry, value, timestamp);
        // A record with this very timestamp came before: it has made all windows that this one needs.
        if (entry.timestamp >= timestamp) return;
        previous = entry.timestamp;
      } else {
        left = entry;
        previous = entry.timestamp;
        break;
      }
    }
    if (previous >= 0 && !starts.has(previous + 1) && previous + 1 + diffMs >= timestamp)
      this.#update(key, previous + 1, undefined, value, timestamp);
    if (!leftExists) {
      const reached = previous >= 0 && timestamp - diffMs <= previous;
      this.#update(key, timestamp - diffMs, reached ? left : undefined, value, timestamp, true);
    }
    if (!starts.has(timestamp + 1) && right !== undefined && right.timestamp > timestamp)
      this.#copyRight(key, timestamp + 1, right, timestamp);
  }

  /** Before `diff`: the window that would start before 0 is [0, diff]. */
  #early(key: string, value: unknown, timestamp: number): void {
    const starts = new Set<number>();
    let first: Stamped | undefined;
    let right: Stamped | undefined;
    let previous = -1;
    for (const [start, entry] of this.#store.fetch(key, 0, timestamp + 1, false)) {
      starts.add(start);
      if (start === 0) {
        first = entry;
        if (entry.timestamp < timestamp) previous = entry.timestamp;
      } else if (start <= timestamp) {
        right = entry;
        this.#update(key, start, entry, value, timestamp);
      }
    }
    if (right === undefined && first !== undefined && first.timestamp > timestamp) right = first;
    if (!starts.has(timestamp + 1) && right !== undefined && right.timestamp > timestamp)
      this.#copyRight(key, timestamp + 1, right, timestamp);
    if (previous >= 0 && !starts.has(previous + 1)) this.#update(key, previous + 1, undefined, value, timestamp);
    this.#update(key, 0, first, value, timestamp);
  }

  /** `from`: the state to add to, which for a new left window (`fresh`) is another window's. */
  #update(key: string, start: number, from: Stamped | undefined, value: unknown, timestamp: number, fresh = false): void {
    const end = start + this.#windows.diffMs;
    if (end < this.#closeTime) {
      this.#drop();
      return;
    }
    const next = this.#aggregator.add(from?.value, value, key);
    if (next === UNCHANGED && from === undefined) return;
    const state = next === UNCHANGED ? from?.value : next;
    const time = !fresh && from !== undefined && from.timestamp > timestamp ? from.timestamp : timestamp;
    this.#put(key, start, state, fresh ? null : rowValue(from), time, timestamp);
  }

  /** A new window just after the record holds what the windows around it hold of later records. */
  #copyRight(key: string, start: number, right: Stamped, timestamp: number): void {
    this.#put(key, start, right.value, null, right.timestamp, timestamp);
  }

  #put(key: string, start: number, value: unknown, before: unknown, time: number, recordTime: number): void {
    const end = start + this.#windows.diffMs;
    this.#store.put(key, start, value, time);
    this.#closing?.add(start, key, end, recordTime);
    if (this.#forwards) this.#next.update(windowedKey(key, start, end), value, this.#options.sendOld ? before : null, time, true);
  }

  #drop(): void {
    this.#isLate = true;
    this.#context.dropped("late");
  }

  /** Windows that start at or before `lastStart`, in order of start, then key. */
  #emitClosed(closing: ClosingIndex, lastStart: number, timestamp: number): void {
    if (lastStart <= this.#store.marks.get("emitted")) return;
    this.#store.marks.set("emitted", lastStart);
    for (const [start, key, end] of closing.upTo(lastStart)) {
      closing.remove(start, key, end, timestamp);
      const entry = this.#store.get(key, start);
      if (entry !== undefined) this.#next.update(windowedKey(key, start, end), entry.value, null, entry.timestamp, true);
    }
  }
}
