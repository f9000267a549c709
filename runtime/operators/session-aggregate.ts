import { windowedKey } from "../define/windowed-key.ts";
import type { SessionWindows } from "../define/windows.ts";
import type { ClosingIndex } from "../state/windowed/closing-index.ts";
import { MARKS_KEY } from "../state/windowed/marks.ts";
import type { SessionStore } from "../state/windowed/session-store.ts";
import type { TaskContext } from "../topology/topology.ts";
import { type Aggregator, UNCHANGED } from "./aggregator.ts";
import { rowValue } from "./rows.ts";
import type { Flushing, StreamTarget, TableTarget } from "./targets.ts";
import type { WindowAggregateOptions } from "./window-aggregate.ts";

/** Aggregation by key and session. A record joins every session of its key that the gap lets it reach, and makes them one. */
export class SessionAggregate implements StreamTarget, Flushing {
  readonly #context: TaskContext;
  readonly #windows: SessionWindows;
  readonly #store: SessionStore;
  readonly #closing: ClosingIndex | undefined;
  readonly #aggregator: Aggregator;
  readonly #options: WindowAggregateOptions;
  readonly #next: TableTarget;
  readonly #forwards: boolean;

  /** `closing`: the sessions still to be emitted; only with emit on close. */
  constructor(
    context: TaskContext,
    windows: SessionWindows,
    store: SessionStore,
    closing: ClosingIndex | undefined,
    options: WindowAggregateOptions,
    next: TableTarget,
  ) {
    this.#context = context;
    this.#windows = windows;
    this.#store = store;
    this.#closing = closing;
    this.#aggregator = options.aggregator;
    this.#options = options;
    this.#next = next;
    const { cached } = store.entries.store;
    this.#forwards = !options.onClose && !cached;
    if (!options.onClose && cached) {
      store.entries.store.onFlush((at, after, before) => {
        if (at === MARKS_KEY) return;
        const { key, start, end } = store.row(at);
        next.update(windowedKey(key, start, end), rowValue(after), options.sendOld ? rowValue(before) : null, end, true);
      });
    }
  }

  process(key: string | null, value: unknown, timestamp: number): void {
    if (key === null) {
      this.#context.dropped("null-key");
      return;
    }
    const { gapMs, graceMs } = this.#windows;
    const closeTime = this.#store.marks.raise("streamTime", timestamp) - graceMs - gapMs;
    const found = this.#store.find(key, timestamp - gapMs, timestamp + gapMs);
    let start = timestamp;
    let end = timestamp;
    let state = this.#aggregator.initial();
    for (const one of found) {
      state = this.#aggregator.merge(state, one.value, key);
      if (one.start < start) start = one.start;
      if (one.end > end) end = one.end;
    }
    if (end < closeTime) {
      this.#context.dropped("late");
      this.#options.late.late(key, value, timestamp);
    } else {
      const next = this.#aggregator.addMerged(state, value, key);
      if (next !== UNCHANGED || found.length > 1) {
        this.#replace(key, found, start, end, next === UNCHANGED ? (state ?? null) : next, timestamp);
      }
    }
    if (this.#closing !== undefined) this.#emitClosed(this.#closing, closeTime - 1, timestamp);
  }

  beforeFlush(): void {
    this.#store.entries.beforeFlush();
  }

  #replace(
    key: string,
    found: readonly { start: number; end: number; value: unknown }[],
    start: number,
    end: number,
    value: unknown,
    timestamp: number,
  ): void {
    let before: unknown = null;
    // A session of one instant that stays one is simply updated.
    const instant = start === end;
    for (const one of found) {
      if (instant) {
        before = one.value;
        continue;
      }
      this.#store.put(key, one.start, one.end, null, timestamp);
      this.#closing?.remove(one.end, key, one.start, timestamp);
      if (this.#forwards)
        this.#next.update(windowedKey(key, one.start, one.end), null, this.#options.sendOld ? one.value : null, one.end, true);
    }
    this.#store.put(key, start, end, value, timestamp);
    this.#closing?.add(end, key, start, timestamp);
    if (this.#forwards) this.#next.update(windowedKey(key, start, end), value, this.#options.sendOld ? before : null, end, true);
  }

  #emitClosed(closing: ClosingIndex, lastEnd: number, timestamp: number): void {
    if (lastEnd <= this.#store.marks.get("emitted")) return;
    this.#store.marks.set("emitted", lastEnd);
    for (const [end, key, start] of closing.upTo(lastEnd)) {
      closing.remove(end, key, start, timestamp);
      const entry = this.#store.get(key, start, end);
      if (entry !== undefined) this.#next.update(windowedKey(key, start, end), entry.value, null, end, true);
    }
  }
}
