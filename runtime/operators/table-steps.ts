import type { ValueFn } from "../define/graph.ts";
import type { Stamped } from "../state/store.ts";
import type { RowWriter } from "./rows.ts";
import { orNull } from "./stateless.ts";
import type { RowView, TableTarget } from "./targets.ts";

/** Computes a derived row from a row; never called for deletions. */
export type RowFn = (key: string, value: unknown) => unknown;

export function filterRow(fn: ValueFn, keep: boolean): RowFn {
  return (key, value) => (value !== null && Boolean(fn(value, key)) === keep ? value : null);
}

export function mapRow(fn: ValueFn): RowFn {
  return (key, value) => (value === null ? null : orNull(fn(value, key)));
}

export interface TableStepOptions {
  /** The step's own store, if it has one. */
  readonly writer: RowWriter | undefined;
  /** Whether the update's old value is to be computed. */
  readonly sendOld: boolean;
  /** Leave out updates with no row before and after (filters, where the old value is known). */
  readonly skipNothing: boolean;
}

/** filter and mapValues of a table. */
export function tableStep(fn: RowFn, { writer, sendOld, skipNothing }: TableStepOptions, next: TableTarget): TableTarget {
  return {
    update(key, value, old, timestamp, latest) {
      const newRow = fn(key, value);
      let oldRow: unknown = null;
      if (sendOld) oldRow = writer === undefined ? fn(key, old) : (writer.rows.get(key)?.value ?? null);
      if (skipNothing && newRow === null && oldRow === null) return;
      if (writer === undefined) next.update(key, newRow, oldRow, timestamp, latest);
      else writer.write(key, newRow, oldRow, timestamp);
    },
  };
}

/** The step's rows, computed from those before it. */
export function tableStepView(fn: RowFn, parent: RowView): RowView {
  const derive = (key: string, entry: Stamped | undefined): Stamped | undefined => {
    if (entry === undefined) return undefined;
    const value = fn(key, entry.value);
    return value === null ? undefined : { value, timestamp: entry.timestamp };
  };
  const { asOf } = parent;
  return {
    get: (key) => derive(key, parent.get(key)),
    ...(asOf === undefined ? {} : { asOf: (key: string, time: number) => derive(key, asOf(key, time)) }),
  };
}
