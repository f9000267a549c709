import { decodeBatches } from "../batch-decoder.ts";
import { AT, readInt64 } from "../batch-header.ts";
import type { RecordBatch } from "../record-batch.ts";
import { batchKey, lastOffsetOf } from "./keys.ts";
import { OffsetMap } from "./offset-map.ts";
import type { Partition } from "./partition.ts";
import { type CleanContext, storeBounds } from "./retention.ts";
import { rewrite } from "./rewrite.ts";
import { expiredBelow, noteSeen } from "./tombstones.ts";
import { numericSetting } from "./topics.ts";

/** Bytes decoded before the event loop gets its turn; some 2 ms of work. */
const STEP_BYTES = 256 * 1024;
/** Batches smaller than this on average are joined even where nothing is dropped: a batch is a row to seek and a header to read. */
const SMALL_BATCH = 16 * 1024;
/** Kafka's `min.cleanable.dirty.ratio`: compaction starts when half of the records were not seen by it yet. */
const DIRTY_RATIO = 0.5;

export function isDirty({ end, stored }: Partition): boolean {
  const dirty = end - stored.cleanedTo;
  return dirty > 1 && dirty / (dirty + stored.cleanedRecords) >= DIRTY_RATIO;
}

/**
 * Keeps the last record of each key, in passes of two parts: learn the last offsets of the keys in what is dirty, then walk
 * from the start and drop what they supersede. The batch in which the log ends, and records younger than
 * `min.compaction.lag.ms`, are left alone. Each step of the walk is one atomic write that is right by itself, so that a crash
 * anywhere leaves a log that reads the same; the next pass finishes. Returns the number of records dropped.
 */
export async function compact(partition: Partition, context: CleanContext): Promise<number> {
  const limit = tailStart(partition, context);
  const retentionMs = numericSetting(partition.config, "delete.retention.ms");
  let dropped = 0;
  for (let more = true; more && !partition.deleted; ) {
    const from = Math.max(partition.stored.cleanedTo, partition.start);
    const dirty = await lastOffsets(partition, from, limit, context);
    const expired = expiredBelow(partition.stored.seen, retentionMs, context.clock());
    if (dirty.to <= from && expired === 0) break;
    dropped += await dropSuperseded(partition, dirty.map, dirty.to, expired, retentionMs, context);
    more = dirty.map.full && dirty.to > from;
  }
  return dropped;
}

/** Offset at which the partition's last batch begins. */
function tailStart(partition: Partition, { database }: CleanContext): number {
  const tail = database.scan(partition.keys(partition.start, partition.end), { reverse: true, rows: 1 }).rows[1];
  return tail === undefined ? partition.start : readInt64(tail, AT.baseOffset);
}

async function lastOffsets(
  partition: Partition,
  from: number,
  limit: number,
  { database, clock, compactionKeys, pause }: CleanContext,
): Promise<{ map: OffsetMap; to: number }> {
  const youngest = clock() - numericSetting(partition.config, "min.compaction.lag.ms");
  const map = new OffsetMap(Math.min(compactionKeys, Math.max(0, limit - from)) + 1);
  let to = from;
  while (to < limit && !map.full && !partition.deleted) {
    const { rows } = database.scan(partition.keys(to, limit), { bytes: STEP_BYTES });
    if (rows.length === 0) return { map, to: limit };
    for (let i = 0; i < rows.length && !map.full; i += 2) {
      const bytes = rows[i + 1] as Buffer;
      if (readInt64(bytes, AT.maxTimestamp) > youngest) return { map, to };
      const batch = decodeBatches(bytes, { from });
      for (let row = 0; row < batch.length; row++) {
        const start = batch.keyStart[row] as number;
        // A batch that does not fit is left to the next pass, whole: what was learned of it already is true all the same.
        if (map.full) return { map, to };
        if (start >= 0) map.set(batch.buffer, start, batch.keyEnd[row] as number, batch.offsets[row] as number);
      }
      to = lastOffsetOf(rows[i] as Buffer) + 1;
    }
    await pause();
  }
  return { map, to };
}

async function dropSuperseded(
  partition: Partition,
  map: OffsetMap,
  to: number,
  expired: number,
  retentionMs: number,
  context: CleanContext,
): Promise<number> {
  const { database, queue, clock, pause } = context;
  let dropped = 0;
  let left = 0;
  for (let position = partition.start; position < to && !partition.deleted; ) {
    const { rows } = database.scan(partition.keys(position, to), { bytes: STEP_BYTES });
    if (rows.length === 0) break;
    const batch = decodeBatches(Buffer.concat(rows.filter((_, i) => i % 2 === 1)), { from: partition.start });
    const keep = chooseSurvivors(batch, map, expired);
    const kept = keep.reduce((sum, one) => sum + one, 0);
    const isScattered = rows.length > 2 && batch.buffer.length / (rows.length / 2) < SMALL_BATCH;
    if (kept < batch.length || isScattered) await replace(partition, rows, batch, keep, context);
    dropped += batch.length - kept;
    left += kept;
    position = lastOffsetOf(rows.at(-2) as Buffer) + 1;
    await pause();
  }
  if (partition.deleted) return dropped;
  const seen = noteSeen(partition.stored.seen, to, retentionMs, clock());
  // Sizes have changed: `retention.bytes` measures again.
  await storeBounds(
    partition,
    { cleanedTo: to, cleanedRecords: left, seen, sizedTo: 0, sizedBytes: 0 },
    queue,
    partition.start,
    () => undefined,
  );
  return dropped;
}

/** 1 for each row that stays: nothing newer has its key, and it is no tombstone that has had its time. Records without a key stay. */
function chooseSurvivors(batch: RecordBatch, map: OffsetMap, expired: number): Uint8Array {
  const keep = new Uint8Array(batch.length);
  for (let row = 0; row < batch.length; row++) {
    const start = batch.keyStart[row] as number;
    const offset = batch.offsets[row] as number;
    if (start < 0) keep[row] = 1;
    else if ((batch.valueStart[row] as number) < 0 && offset < expired) keep[row] = 0;
    else keep[row] = map.get(batch.buffer, start, batch.keyEnd[row] as number) <= offset ? 1 : 0;
  }
  return keep;
}

async function replace(
  partition: Partition,
  rows: readonly Buffer[],
  batch: RecordBatch,
  keep: Uint8Array,
  { queue }: CleanContext,
): Promise<void> {
  const survivors = rewrite(batch, keep);
  await queue.write((writes) => {
    if (partition.deleted) return;
    for (let i = 0; i < rows.length; i += 2) writes.delete(rows[i] as Buffer);
    for (const { lastOffset, data } of survivors) writes.put(batchKey(partition.topicId, partition.partition, lastOffset), data);
  });
}
