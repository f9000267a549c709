import { windowedKey } from "../define/windowed-key.ts";
import type { TimeWindows } from "../define/windows.ts";
import { MARKS_KEY } from "../state/windowed/marks.ts";
import type { TimeWindowStore } from "../state/windowed/time-window-store.ts";
import type { TaskContext } from "../topology/topology.ts";
import { type Aggregator, UNCHANGED } from "./aggregator.ts";
import type { LateRecords } from "./late.ts";
import { rowValue } from "./rows.ts";
import type { Flushing, StreamTarget, TableTarget } from "./targets.ts";

export interface WindowAggregateOptions {
  readonly aggregator: Aggregator;
  readonly onClose: boolean;
  readonly sendOld: boolean;
  readonly late: LateRecords;
}

/** Aggregation by key and tumbling or hopping window. A record counts in each of its windows that is still open. */
export class WindowAggregate implements StreamTarget, Flushing {
  readonly #context: TaskContext;
  readonly #windows: TimeWindows;
  readonly #store: TimeWindowStore;
  readonly #options: WindowAggregateOptions;
  readonly #next: TableTarget;
  /** Updates are forwarded here, at once; otherwise by the cache, or when their window closes. */
  readonly #forwards: boolean;

  constructor(context: TaskContext, windows: TimeWindows, store: TimeWindowStore, options: WindowAggregateOptions, next: TableTarget) {
    this.#context = context;
    this.#windows = windows;
    this.#store = store;
    this.#options = options;
    this.#next = next;
    this.#forwards = !options.onClose && !store.store.cached;
    if (!options.onClose && store.store.cached) {
      store.store.onFlush((at, after, before, timestamp) => {
        if (at === MARKS_KEY) return;
        const { key, start, end } = store.row(at);
        const time = after === undefined ? timestamp : after.timestamp;
        next.update(windowedKey(key, start, end), rowValue(after), options.sendOld ? rowValue(before) : null, time, true);
      });
    }
  }

  process(key: string | null, value: unknown, timestamp: number): void {
    if (key === null) {
      this.#context.dropped("null-key");
      return;
    }
    const { sizeMs, advanceMs, graceMs } = this.#windows;
    const closeTime = this.#store.marks.raise("streamTime", timestamp) - graceMs;
    let isLate = false;
    for (
      let start = Math.floor(Math.max(0, timestamp - sizeMs + advanceMs) / advanceMs) * advanceMs;
      start <= timestamp;
      start += advanceMs
    ) {
      if (start + sizeMs > closeTime) this.#update(key, start, value, timestamp);
      else {
        isLate = true;
        this.#context.dropped("late");
      }
    }
    if (isLate) this.#options.late.late(key, value, timestamp);
    if (this.#options.onClose) this.#emitClosed(closeTime - sizeMs);
  }

  beforeFlush(): void {
    this.#store.beforeFlush();
  }

  #update(key: string, start: number, value: unknown, timestamp: number): void {
    const entry = this.#store.get(key, start);
    const next = this.#options.aggregator.add(entry?.value, value, key);
    if (next === UNCHANGED) return;
    const time = entry !== undefined && entry.timestamp > timestamp ? entry.timestamp : timestamp;
    this.#store.put(key, start, next, time);
    if (this.#forwards) {
      this.#next.update(
        windowedKey(key, start, start + this.#windows.sizeMs),
        next,
        this.#options.sendOld ? rowValue(entry) : null,
        time,
        true,
      );
    }
  }

  /** Each window once, in order of start, then key. */
  #emitClosed(lastStart: number): void {
    const { marks } = this.#store;
    const emitted = marks.get("emitted");
    if (lastStart <= emitted) return;
    marks.set("emitted", lastStart);
    // Windows start at multiples of the advance only: most records close none.
    const { advanceMs } = this.#windows;
    if (Math.floor(lastStart / advanceMs) === Math.floor(emitted / advanceMs)) return;
    for (const [{ key, start, end }, entry] of this.#store.starting(emitted + 1, lastStart)) {
      this.#next.update(windowedKey(key, start, end), entry.value, null, entry.timestamp, true);
    }
  }
}
