import type { ValueFn } from "../define/graph.ts";
import type { Codec, TaskContext } from "../topology/topology.ts";
import { type Aggregator, UNCHANGED } from "./aggregator.ts";
import type { RowWriter } from "./rows.ts";
import { checkedKey, orNull } from "./stateless.ts";
import type { StreamTarget, TableTarget } from "./targets.ts";

/** What goes through the repartition topic of a grouped table: [value to add, value to subtract], null for none. */
export type GroupChange = readonly [add: unknown, subtract: unknown];

/**
 * Sends each update of a table to the groups of its old and its new row. One group for both: one change. Otherwise the old
 * group first, then the new one. Out-of-order updates of a versioned table change no latest row, so no group either.
 */
export function groupTable(by: ValueFn, valueFn: ValueFn | undefined, topic: string, codec: Codec, context: TaskContext): TableTarget {
  const valueFor = (key: string, row: unknown): unknown => (row === null ? null : valueFn === undefined ? row : orNull(valueFn(row, key)));
  const groupFor = (key: string, row: unknown): string | null => (row === null ? null : checkedKey(by(row, key), "groupBy"));
  return {
    update(key, row, oldRow, timestamp, latest) {
      if (!latest) return;
      const oldGroup = groupFor(key, oldRow);
      const oldValue = oldGroup === null ? null : valueFor(key, oldRow);
      const group = groupFor(key, row);
      const value = group === null ? null : valueFor(key, row);
      const subtracts = oldGroup !== null && oldValue !== null;
      const adds = group !== null && value !== null;
      if (subtracts && adds && oldGroup === group) {
        context.emit(topic, codec, group, [value, oldValue], timestamp);
        return;
      }
      if (subtracts) context.emit(topic, codec, oldGroup, [null, oldValue], timestamp);
      if (adds) context.emit(topic, codec, group, [value, null], timestamp);
    },
  };
}

/** Aggregation of a grouped table, after its repartition topic. */
export function tableAggregate(aggregator: Aggregator, writer: RowWriter): StreamTarget {
  return {
    process(key, change, timestamp) {
      if (key === null || change === null) return;
      const [value, oldValue] = change as GroupChange;
      const entry = writer.rows.get(key);
      let state: unknown = entry?.value;
      if (oldValue !== null && state !== undefined) {
        const less = aggregator.subtract(state, oldValue, key);
        state = less === UNCHANGED ? state : less === null ? undefined : less;
      }
      if (value !== null) {
        const more = aggregator.add(state, value, key);
        if (more !== UNCHANGED) state = more;
      }
      const touched = entry !== undefined && (value !== null || oldValue !== null);
      const time = touched && entry.timestamp > timestamp ? entry.timestamp : timestamp;
      writer.write(key, state ?? null, entry === undefined ? null : entry.value, time);
    },
  };
}
