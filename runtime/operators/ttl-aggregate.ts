import type { TtlSpec } from "../define/graph.ts";
import type { ExpiryQueue } from "../state/windowed/expiry-queue.ts";
import type { TaskContext } from "../topology/topology.ts";
import { type Aggregator, UNCHANGED } from "./aggregator.ts";
import type { RowWriter } from "./rows.ts";
import type { StreamTarget } from "./targets.ts";

/** How often a wall-clock TTL looks for expired keys, at most; ms. */
const LOOK_EVERY = 1_000;

/**
 * Aggregation by key whose states expire. A key that is due is let go before the next record is processed (and by wall
 * clock at regular intervals), in order of their due times: a tombstone, or what the aggregation makes of a last event.
 */
export function ttlAggregate(
  context: TaskContext,
  aggregator: Aggregator,
  writer: RowWriter,
  queue: ExpiryQueue,
  ttl: TtlSpec,
): StreamTarget {
  const { rows } = writer;
  const wall = ttl.by === "wall-clock";

  const expire = (now: number): void => {
    for (const key of queue.takeDue(now, now)) {
      const entry = rows.get(key);
      if (entry === undefined) continue;
      const last = ttl.expired === undefined ? undefined : aggregator.add(entry.value, ttl.expired(entry.value, key), key);
      const lives = last !== undefined && last !== null && last !== UNCHANGED;
      const time = entry.timestamp > now || wall ? entry.timestamp : now;
      if (lives) queue.touch(key, now, now);
      writer.write(key, lives ? last : null, entry.value, time);
    }
  };
  if (wall) context.schedule(Math.min(LOOK_EVERY, ttl.ms), "wall-clock", expire);

  return {
    process(key, value, timestamp) {
      const now = wall ? context.wallClock() : context.streamTime;
      if (queue.earliest <= now) expire(now);
      if (key === null || value === null) {
        context.dropped(key === null ? "null-key" : "null-value");
        return;
      }
      const entry = rows.get(key);
      const next = aggregator.add(entry?.value, value, key);
      const touched = wall ? now : timestamp;
      if (next === UNCHANGED) {
        if (entry !== undefined && ttl.renewedBy === "read") queue.touch(key, touched, timestamp);
        return;
      }
      const time = entry !== undefined && entry.timestamp > timestamp ? entry.timestamp : timestamp;
      if (next === null) queue.forget(key, timestamp);
      else queue.touch(key, touched, timestamp);
      writer.write(key, next, entry === undefined ? null : entry.value, time);
    },
  };
}
