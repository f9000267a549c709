import { fastBuffer } from "./fast-buffer.ts";
import type { RecordBatch } from "./record-batch.ts";

/** Key of row i as text (UTF-8); null where the key is null. */
export function keyText(batch: RecordBatch, i: number): string | null {
  const start = batch.keyStart[i] as number;
  return start < 0 ? null : fastBuffer(batch.buffer).utf8Slice(start, batch.keyEnd[i] as number);
}

/** Key of row i, a view of the batch's bytes. */
export function keyBytes(batch: RecordBatch, i: number): Buffer | null {
  const start = batch.keyStart[i] as number;
  return start < 0 ? null : batch.buffer.subarray(start, batch.keyEnd[i]);
}

/** Value of row i as text (UTF-8); null where the value is null. */
export function valueText(batch: RecordBatch, i: number): string | null {
  const start = batch.valueStart[i] as number;
  return start < 0 ? null : fastBuffer(batch.buffer).utf8Slice(start, batch.valueEnd[i] as number);
}

/** Value of row i, a view of the batch's bytes. */
export function valueBytes(batch: RecordBatch, i: number): Buffer | null {
  const start = batch.valueStart[i] as number;
  return start < 0 ? null : batch.buffer.subarray(start, batch.valueEnd[i]);
}
