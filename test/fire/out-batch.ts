import type { OutBatch } from "../../runtime/log/log.ts";
import { partitionOf } from "../../runtime/log/partitioner.ts";
import { BatchBuilder } from "../../runtime/log/record-batch.ts";

/** Records on their way to a topic, grouped by partition. */
export function outBatchOf(topic: string, partitions: number, records: readonly { key: string; value: string }[]): OutBatch[] {
  const builders = new Map<number, BatchBuilder>();
  for (const { key, value } of records) {
    const partition = partitionOf(key, partitions);
    let builder = builders.get(partition);
    if (builder === undefined) builders.set(partition, (builder = new BatchBuilder()));
    builder.append(key, Buffer.from(value), Date.now());
  }
  return [...builders].map(([partition, builder]) => ({ topic, partition, count: builder.count, data: builder.finish() }));
}
