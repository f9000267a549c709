import type { RecordBatch } from "../log/record-batch.ts";
import type { Codec, RecordContext, SourceSpec } from "../topology/topology.ts";
import { RecordFailure } from "./failure.ts";

/** Row i's value; what cannot be decoded is a clean failure of the record. */
export function decodeValue(codec: Codec, batch: RecordBatch, i: number): unknown {
  const start = batch.valueStart[i] ?? -1;
  if (start < 0) return null;
  const end = batch.valueEnd[i] ?? start;
  try {
    return codec.decodeRange === undefined ? codec.decode(batch.buffer.subarray(start, end)) : codec.decodeRange(batch.buffer, start, end);
  } catch (cause) {
    throw new RecordFailure("record-undecodable", cause, true);
  }
}

/** The record's event time by the source's extractor. */
export function eventTime(source: SourceSpec, key: string | null, value: unknown, record: RecordContext): number {
  try {
    return source.timestamp?.(value, { key, timestamp: record.timestamp, topic: record.topic }) ?? record.timestamp;
  } catch (cause) {
    throw new RecordFailure("reducer-threw", cause, true);
  }
}
