import type { TaskContext } from "../topology/topology.ts";
import { type Aggregator, UNCHANGED } from "./aggregator.ts";
import type { RowWriter } from "./rows.ts";
import type { StreamTarget } from "./targets.ts";

/** Aggregation of a stream by key, without windows. Null keys and values are dropped and counted. */
export function keyedAggregate(context: TaskContext, aggregator: Aggregator, writer: RowWriter): StreamTarget {
  return {
    process(key, value, timestamp) {
      if (key === null || value === null) {
        context.dropped(key === null ? "null-key" : "null-value");
        return;
      }
      const entry = writer.rows.get(key);
      const next = aggregator.add(entry?.value, value, key);
      if (next === UNCHANGED) return;
      const time = entry !== undefined && entry.timestamp > timestamp ? entry.timestamp : timestamp;
      writer.write(key, next, entry === undefined ? null : entry.value, time);
    },
  };
}
