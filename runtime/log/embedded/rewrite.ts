import { HEADER_BYTES, writeHeader } from "../batch-header.ts";
import { fastBuffer } from "../fast-buffer.ts";
import { keyBytes, type RecordBatch, valueBytes } from "../record-batch.ts";
import { encodeRecord, MAX_TIMESTAMP_DELTA, NO_HEADERS, recordSize } from "../record-encoder.ts";

const MAX_BATCH_BYTES = 128 * 1024;
/** Room for what the varints of one record may take more than they did in the batch that it came from. */
const GROWTH = 24;

export interface Rewritten {
  readonly lastOffset: number;
  readonly data: Buffer;
}

/** The rows for which keep[row] is 1, with their offsets and timestamps, in as few batches as the size of a batch allows. */
export function rewrite(batch: RecordBatch, keep: Uint8Array): Rewritten[] {
  const buffer = fastBuffer(Buffer.allocUnsafeSlow(batch.buffer.length + batch.length * (GROWTH + HEADER_BYTES)));
  const out: Rewritten[] = [];
  let start = 0;
  let at = 0;
  let count = 0;
  let baseOffset = 0;
  let baseTimestamp = 0;
  let maxTimestamp = 0;
  let lastOffset = 0;
  const close = (): void => {
    if (count === 0) return;
    writeHeader(buffer, start, at, baseOffset, lastOffset - baseOffset, baseTimestamp, maxTimestamp, count);
    out.push({ lastOffset, data: buffer.subarray(start, at) });
    count = 0;
  };
  for (let row = 0; row < batch.length; row++) {
    if (keep[row] !== 1) continue;
    const offset = batch.offsets[row] as number;
    const timestamp = batch.timestamps[row] as number;
    if (at - start >= MAX_BATCH_BYTES || offset - baseOffset > 0x7fffffff || Math.abs(timestamp - baseTimestamp) > MAX_TIMESTAMP_DELTA)
      close();
    if (count === 0) {
      start = at;
      at += HEADER_BYTES;
      baseOffset = offset;
      baseTimestamp = maxTimestamp = timestamp;
    }
    const key = keyBytes(batch, row);
    const value = valueBytes(batch, row);
    const headers = batch.headers?.[row] ?? NO_HEADERS;
    const keyLength = key === null ? -1 : key.length;
    const size = recordSize(timestamp - baseTimestamp, offset - baseOffset, keyLength, value === null ? -1 : value.length, headers);
    at = encodeRecord(buffer, at, size, timestamp - baseTimestamp, offset - baseOffset, key, keyLength, value, headers);
    lastOffset = offset;
    if (timestamp > maxTimestamp) maxTimestamp = timestamp;
    count++;
  }
  close();
  return out;
}
