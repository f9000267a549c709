import type { JoinFn, JoinHow } from "../define/graph.ts";
import type { TaskContext } from "../topology/topology.ts";
import type { RowWriter } from "./rows.ts";
import { orNull } from "./stateless.ts";
import type { RowView, TableTarget } from "./targets.ts";

/** Takes the joined rows: forwards them, or keeps them in the join's own store first. */
export function joinResult(writer: RowWriter | undefined, sendOld: boolean, next: TableTarget): TableTarget {
  return {
    update(key, value, old, timestamp, latest) {
      if (writer === undefined) next.update(key, value, sendOld ? old : null, timestamp, latest);
      else writer.write(key, value, writer.old(key), timestamp);
    },
  };
}

export interface TableJoinOptions {
  readonly how: JoinHow;
  readonly fn: JoinFn;
  readonly side: "left" | "right";
  /** The other side's rows. */
  readonly other: RowView;
  readonly versioned: boolean;
  /** Whether the old result is to be computed. */
  readonly sendOld: boolean;
}

/** One side of a table-table join: the update's rows, after and before, are joined with the current row of the other side. */
export function tableJoin(
  context: TaskContext,
  { how, fn, side, other, versioned, sendOld }: TableJoinOptions,
  next: TableTarget,
): TableTarget {
  const joined = (mine: unknown, theirs: unknown, key: string): unknown =>
    orNull(side === "left" ? fn(mine, theirs, key) : fn(theirs, mine, key));
  // What each side needs of the other for there to be a row.
  const needsOther = how === "inner" || (how === "left" && side === "right");
  const needsMine = how === "inner" || (how === "left" && side === "left");
  return {
    update(key, value, old, timestamp, latest) {
      if (versioned && !latest) {
        context.dropped("late");
        return;
      }
      const entry = other.get(key);
      if (entry === undefined && (needsOther || (value === null && old === null))) return;
      const theirs = entry === undefined ? null : entry.value;
      const time = entry !== undefined && entry.timestamp > timestamp ? entry.timestamp : timestamp;
      const row = (mine: unknown): unknown => {
        if (mine === null && (needsMine || theirs === null)) return null;
        return joined(mine, theirs, key);
      };
      next.update(key, row(value), sendOld ? row(old) : null, time, latest);
    },
  };
}

/** The joined row of a key, computed from both sides. */
export function tableJoinView(how: JoinHow, fn: JoinFn, left: RowView, right: RowView): RowView {
  return {
    get(key) {
      const l = left.get(key);
      const r = right.get(key);
      if (l === undefined && (r === undefined || how !== "outer")) return undefined;
      if (r === undefined && how === "inner") return undefined;
      const value = orNull(fn(l === undefined ? null : l.value, r === undefined ? null : r.value, key));
      return value === null ? undefined : { value, timestamp: Math.max(l?.timestamp ?? -1, r?.timestamp ?? -1) };
    },
  };
}
