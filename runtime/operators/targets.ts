import type { Stamped } from "../state/store.ts";

/** Takes records of a stream; keys and values may be null. */
export interface StreamTarget {
  process(key: string | null, value: unknown, timestamp: number): void;
}

/**
 * Takes updates of a table: the row after and before, null where there is none (or where nobody asked for the row before).
 * `latest` is false for an out-of-order update of a versioned table, which leaves the latest row as it is.
 */
export interface TableTarget {
  update(key: string, value: unknown, old: unknown, timestamp: number, latest: boolean): void;
}

/** Reads a table's rows, from its store or computed from the tables before it. */
export interface RowView {
  get(key: string): Stamped | undefined;
  /** Versioned tables: the row as of a time. */
  readonly asOf?: (key: string, time: number) => Stamped | undefined;
}

/** What an operator does at commit, before stores are flushed: puts into its stores what it holds in memory. */
export interface Flushing {
  beforeFlush(): void;
}

const NOWHERE: StreamTarget & TableTarget = { process() {}, update() {} };

/** All of them, in order; the cheapest thing that does it. */
export function streamFanOut(targets: readonly StreamTarget[]): StreamTarget {
  const [only] = targets;
  if (only === undefined) return NOWHERE;
  return targets.length === 1 ? only : new StreamFanOut(targets);
}

export function tableFanOut(targets: readonly TableTarget[]): TableTarget {
  const [only] = targets;
  if (only === undefined) return NOWHERE;
  return targets.length === 1 ? only : new TableFanOut(targets);
}

class StreamFanOut implements StreamTarget {
  readonly #targets: readonly StreamTarget[];

  constructor(targets: readonly StreamTarget[]) {
    this.#targets = targets;
  }

  process(key: string | null, value: unknown, timestamp: number): void {
    for (const target of this.#targets) target.process(key, value, timestamp);
  }
}

class TableFanOut implements TableTarget {
  readonly #targets: readonly TableTarget[];

  constructor(targets: readonly TableTarget[]) {
    this.#targets = targets;
  }

  update(key: string, value: unknown, old: unknown, timestamp: number, latest: boolean): void {
    for (const target of this.#targets) target.update(key, value, old, timestamp, latest);
  }
}
