import { setTimeout as pause } from "node:timers/promises";
import { KeyfoldError } from "../errors.ts";
import type { Log, OutBatch } from "../log/log.ts";
import { partitionOf } from "../log/partitioner.ts";
import { BatchBuilder } from "../log/record-batch.ts";
import type { FileRecord, SourceFile } from "./files.ts";

/** The feeder's own progress: an empty topic with one partition a file; an offset there is the number of the next record to append. */
const LEDGER = "demo-files";
const GROUP = "demo-feeder";

export interface FeedOptions {
  /** Records in one commit. */
  readonly batch?: number;
  /** Records a second. Default 0: as fast as the log takes them. */
  readonly rate?: number;
  /** Aborting stops between two commits. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: FeedProgress) => void;
}

export interface FeedProgress {
  /** Records in the log so far, those of earlier runs included. */
  readonly fed: number;
  readonly total: number;
}

export interface Fed extends FeedProgress {
  /** What earlier runs had appended already. */
  readonly before: number;
}

/**
 * Appends what is not yet in the log. Records and the feeder's place in its files are one atomic commit: wherever a run is
 * cut off, the next one goes on behind the last record that made it, and no record is appended twice.
 */
export async function feed(
  log: Log,
  files: readonly SourceFile[],
  { batch = 250, rate = 0, signal, onProgress = () => {} }: FeedOptions = {},
): Promise<Fed> {
  await log.ensureTopic({ name: LEDGER, partitions: files.length });
  const places = await readPlaces(log, files);
  const total = files.reduce((sum, { records }) => sum + records.length, 0);
  const before = places.reduce((sum, place) => sum + place, 0);
  const started = performance.now();
  let fed = before;
  if (fed < total) onProgress({ fed, total });
  for (const [number, file] of files.entries()) {
    const partitions = await partitionsOf(log, file.topic);
    for (let place = places[number] ?? 0; place < file.records.length && signal?.aborted !== true; ) {
      const records = file.records.slice(place, place + batch);
      const next = place + records.length;
      await log.commit({
        group: GROUP,
        producer: GROUP,
        offsets: [{ topic: LEDGER, partition: number, offset: next, metadata: file.digest }],
        batches: batchesOf(file.topic, partitions, records),
        atomic: true,
      });
      place = next;
      fed += records.length;
      onProgress({ fed, total });
      if (rate > 0) await untilDue(started + ((fed - before) * 1000) / rate, signal);
    }
  }
  return { fed, before, total };
}

/** Waits for a time of performance.now(), or until the signal aborts. */
async function untilDue(time: number, signal: AbortSignal | undefined): Promise<void> {
  await pause(Math.max(0, time - performance.now()), undefined, signal === undefined ? {} : { signal }).catch(() => undefined);
}

async function readPlaces(log: Log, files: readonly SourceFile[]): Promise<number[]> {
  const committed = await log.committed(
    GROUP,
    files.map((_, partition) => ({ topic: LEDGER, partition })),
  );
  return files.map((file, number) => {
    const place = committed[number];
    if (place === undefined) return 0;
    if (place.metadata !== file.digest) {
      throw new KeyfoldError(
        "bad-request",
        `${file.name} is not the file that ${place.offset} records were fed from before; begin again with a new directory: npm start -- --state-dir <directory>`,
        {
          details: { file: file.name, fed: place.offset },
        },
      );
    }
    return place.offset;
  });
}

async function partitionsOf(log: Log, topic: string): Promise<number> {
  const described = await log.describe(topic);
  if (described === undefined)
    throw new KeyfoldError("topic-unknown", `there is no topic ${topic}: no function reads it`, { details: { topic } });
  return described.partitions;
}

/** One batch for each partition that gets any, by Kafka's partitioner. */
function batchesOf(topic: string, partitions: number, records: readonly FileRecord[]): OutBatch[] {
  const builders = new Map<number, BatchBuilder>();
  for (const { key, value, timestamp } of records) {
    const partition = partitionOf(key, partitions);
    let builder = builders.get(partition);
    if (builder === undefined) builders.set(partition, (builder = new BatchBuilder()));
    builder.append(key, Buffer.from(JSON.stringify(value)), timestamp);
  }
  return [...builders].map(([partition, builder]) => ({ topic, partition, count: builder.count, data: builder.finish() }));
}
