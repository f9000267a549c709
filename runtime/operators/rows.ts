import type { Stamped, TaskStore } from "../state/store.ts";
import { type Placed, VersionedStore } from "../state/windowed/versioned-store.ts";
import type { Flushing, RowView, TableTarget } from "./targets.ts";

/** The store of a table, plain or versioned. */
export interface Rows extends RowView {
  /** null deletes. */
  put(key: string, value: unknown, timestamp: number): Placed;
  /** Updates come out through this listener, at flush; undefined: the operator forwards them itself. */
  readonly onFlush: ((listener: (key: string, value: unknown, old: unknown, timestamp: number) => void) => void) | undefined;
}

export function plainRows(store: TaskStore): Rows {
  return {
    get: (key) => store.get(key),
    put(key, value, timestamp) {
      if (value === null) store.delete(key, timestamp);
      else store.put(key, value, timestamp);
      return "latest";
    },
    onFlush: store.cached
      ? (listener) =>
          store.onFlush((key, next, previous, timestamp) =>
            listener(key, rowValue(next), rowValue(previous), next === undefined ? timestamp : next.timestamp),
          )
      : undefined,
  };
}

export function versionedRows(store: TaskStore, historyMs: number): Rows & Flushing {
  const rows = new VersionedStore(store, historyMs);
  return {
    get: (key) => rows.get(key),
    asOf: (key, time) => rows.asOf(key, time),
    put: (key, value, timestamp) => rows.put(key, value, timestamp),
    onFlush: undefined,
    beforeFlush: () => rows.beforeFlush(),
  };
}

export function rowValue(entry: Stamped | undefined): unknown {
  return entry === undefined ? null : entry.value;
}

/**
 * Writes a table's rows and hands updates on: at once, or, with the record cache, when the cache writes them through,
 * once a key and with the row as it was at the last flush.
 */
export class RowWriter {
  readonly rows: Rows;
  readonly #next: TableTarget;
  readonly #sendOld: boolean;
  readonly #cached: boolean;

  constructor(rows: Rows, next: TableTarget, sendOld: boolean) {
    this.rows = rows;
    this.#next = next;
    this.#sendOld = sendOld;
    this.#cached = rows.onFlush !== undefined;
    rows.onFlush?.((key, value, old, timestamp) => next.update(key, value, sendOld ? old : null, timestamp, true));
  }

  /** Whether `write` makes use of the old row. */
  get wantsOld(): boolean {
    return this.#sendOld && !this.#cached;
  }

  /** The row's old value, where somebody wants to know it. */
  old(key: string): unknown {
    return this.wantsOld ? rowValue(this.rows.get(key)) : null;
  }

  write(key: string, value: unknown, old: unknown, timestamp: number): Placed {
    const placed = this.rows.put(key, value, timestamp);
    if (!this.#cached) this.#next.update(key, value, this.#sendOld ? old : null, timestamp, placed === "latest");
    return placed;
  }
}
