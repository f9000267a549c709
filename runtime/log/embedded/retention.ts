import { AT, readInt64 } from "../batch-header.ts";
import type { CommitQueue } from "./commit-queue.ts";
import type { Database, WriteSet } from "./database.ts";
import { lastOffsetOf, partitionKey } from "./keys.ts";
import type { Partition, StoredBounds } from "./partition.ts";
import { numericSetting } from "./topics.ts";

/** Bytes of batches looked at before the event loop gets its turn. */
const STEP_BYTES = 512 * 1024;
const MANY = 10_000;

export interface CleanContext {
  readonly database: Database;
  readonly queue: CommitQueue;
  readonly clock: () => number;
  /** Keys that compaction learns in one pass. */
  readonly compactionKeys: number;
  pause(): Promise<void>;
}

/** Deletes whole batches from the start of a partition, as `retention.ms` and `retention.bytes` say. Returns how many. */
export async function applyRetention(partition: Partition, context: CleanContext): Promise<number> {
  const retentionMs = numericSetting(partition.config, "retention.ms");
  const retentionBytes = numericSetting(partition.config, "retention.bytes");
  if (retentionMs < 0 && retentionBytes < 0) return 0;
  if (retentionBytes >= 0) await measure(partition, context);
  const oldest = retentionMs < 0 ? Number.NEGATIVE_INFINITY : context.clock() - retentionMs;
  let deleted = 0;
  // Mostly there is nothing to do, and one batch tells.
  for (let more = true, rowLimit = 1; more && !partition.deleted; rowLimit = MANY) {
    const { rows, finished } = context.database.scan(partition.keys(partition.start, partition.end), { bytes: STEP_BYTES, rows: rowLimit });
    let bytes = partition.stored.sizedBytes;
    let expired = 0;
    for (; expired < rows.length; expired += 2) {
      const batch = rows[expired + 1] as Buffer;
      const isLarge = retentionBytes >= 0 && bytes - batch.length >= retentionBytes;
      if (!isLarge && readInt64(batch, AT.maxTimestamp) >= oldest) break;
      bytes -= batch.length;
    }
    // A compacted partition may have nothing before the batch in which it ends: where all of it expired, it starts at its end.
    const all = finished && expired === rows.length;
    const start = all ? partition.end : expired === 0 ? partition.start : lastOffsetOf(rows[expired - 2] as Buffer) + 1;
    if (start > partition.start) await advanceStart(partition, start, rows, context);
    deleted += expired / 2;
    more = expired === rows.length && !finished;
    if (more) await context.pause();
  }
  return deleted;
}

/** Deletes what lies below `start`: the bound, and of the scanned rows the batches that end before it, in one write. */
export async function advanceStart(
  partition: Partition,
  start: number,
  rows: readonly Buffer[],
  { queue }: Pick<CleanContext, "queue">,
): Promise<void> {
  let bytes = partition.stored.sizedBytes;
  const dead: Buffer[] = [];
  for (let i = 0; i < rows.length; i += 2) {
    const key = rows[i] as Buffer;
    const last = lastOffsetOf(key);
    if (last >= start) break;
    dead.push(key);
    if (last < partition.stored.sizedTo) bytes -= (rows[i + 1] as Buffer).length;
  }
  await storeBounds(partition, { sizedBytes: Math.max(0, bytes) }, queue, start, (writes) => {
    for (const key of dead) writes.delete(key);
  });
}

/** Stores changed bounds, together with other writes; memory follows once they are durable. */
export async function storeBounds(
  partition: Partition,
  change: Partial<StoredBounds>,
  queue: CommitQueue,
  start: number,
  also: (writes: WriteSet) => void,
): Promise<void> {
  const bounds: StoredBounds = { ...partition.stored, ...change, start, end: partition.end };
  await queue.write(
    (writes) => {
      if (partition.deleted) return;
      writes.put(partitionKey(partition.topicId, partition.partition), Buffer.from(JSON.stringify(bounds)));
      also(writes);
    },
    () => {
      partition.stored = bounds;
      partition.start = Math.max(partition.start, start);
    },
  );
}

/** Brings the partition's known size up to its end by looking at what was appended since the last time. */
async function measure(partition: Partition, { database, pause }: CleanContext): Promise<void> {
  while (partition.stored.sizedTo < partition.end && !partition.deleted) {
    const { sizedTo, sizedBytes } = partition.stored;
    const end = partition.end;
    const { rows, finished } = database.scan(partition.keys(sizedTo, end), { bytes: STEP_BYTES });
    let bytes = sizedBytes;
    for (let i = 1; i < rows.length; i += 2) bytes += (rows[i] as Buffer).length;
    const last = rows.at(-2);
    partition.stored = { ...partition.stored, sizedBytes: bytes, sizedTo: finished || last === undefined ? end : lastOffsetOf(last) + 1 };
    await pause();
  }
}
