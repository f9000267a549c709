import { AT, ATTRIBUTE, asBuffer, batchEnd, corrupt, HEADER_BYTES, readInt64 } from "./batch-header.ts";
import { crc32c } from "./crc32c.ts";
import { fastBuffer } from "./fast-buffer.ts";
import type { Headers, RecordBatch } from "./record-batch.ts";

export interface DecodeOptions {
  /** Skip records below this offset. Default 0. */
  readonly from?: number;
  /** Check the CRC-32C of every batch that carries one. Default false. */
  readonly verifyCrc?: boolean;
}

/**
 * Decodes all v2 batches in `data` into columns over the same bytes (nothing is copied: keep them unchanged while the
 * result is in use). Control batches are skipped. Throws KeyfoldError `log-corrupt` when the bytes are not whole batches.
 */
export function decodeBatches(data: Uint8Array, { from = 0, verifyCrc = false }: DecodeOptions = {}): RecordBatch {
  const buffer = asBuffer(data);
  const capacity = recordCapacity(buffer, from);
  const columns = new Columns(buffer, capacity);
  let length = 0;
  for (let at = 0; at < buffer.length; ) {
    const end = batchEnd(buffer, at);
    if (verifyCrc) checkCrc(buffer, at, end);
    if (isWanted(buffer, at, from)) length = decodeRecords(columns, at, end, from, length);
    at = end;
  }
  return columns.view(length);
}

function isWanted(buffer: Buffer, at: number, from: number): boolean {
  if (((buffer[at + AT.attributes + 1] as number) & ATTRIBUTE.control) !== 0) return false;
  return readInt64(buffer, at) + buffer.readInt32BE(at + AT.lastOffsetDelta) >= from;
}

/** Upper bound of the rows: the records of all wanted batches. A record takes at least 7 bytes, which bounds what garbage can make us allocate. */
function recordCapacity(buffer: Buffer, from: number): number {
  let count = 0;
  for (let at = 0; at < buffer.length; ) {
    const end = batchEnd(buffer, at);
    if (isWanted(buffer, at, from)) count += buffer.readInt32BE(at + AT.count);
    at = end;
  }
  return count;
}

function checkCrc(buffer: Buffer, at: number, end: number): void {
  const written = buffer.readUInt32BE(at + AT.crc);
  if (written === 0) return;
  const found = crc32c(buffer, at + AT.attributes, end);
  if (found !== written)
    throw corrupt(`the checksum of the batch at offset ${readInt64(buffer, at)} is ${found}, its header says ${written}`, { at });
}

class Columns {
  readonly buffer: Buffer;
  readonly offsets: Float64Array;
  readonly timestamps: Float64Array;
  readonly keyStart: Int32Array;
  readonly keyEnd: Int32Array;
  readonly valueStart: Int32Array;
  readonly valueEnd: Int32Array;
  headers: (Headers | null)[] | undefined;

  constructor(buffer: Buffer, rows: number) {
    this.buffer = buffer;
    // One allocation for all columns.
    const memory = new ArrayBuffer(rows * 32);
    this.offsets = new Float64Array(memory, 0, rows);
    this.timestamps = new Float64Array(memory, rows * 8, rows);
    this.keyStart = new Int32Array(memory, rows * 16, rows);
    this.keyEnd = new Int32Array(memory, rows * 20, rows);
    this.valueStart = new Int32Array(memory, rows * 24, rows);
    this.valueEnd = new Int32Array(memory, rows * 28, rows);
  }

  view(length: number): RecordBatch {
    const { buffer, offsets, timestamps, keyStart, keyEnd, valueStart, valueEnd, headers } = this;
    if (headers === undefined) return { buffer, length, offsets, timestamps, keyStart, keyEnd, valueStart, valueEnd };
    while (headers.length < length) headers.push(null);
    headers.length = length;
    return { buffer, length, offsets, timestamps, keyStart, keyEnd, valueStart, valueEnd, headers };
  }
}

/** Decodes the records of one batch into rows from `row` on; returns the next free row. The varints are read in line: this is the hottest loop there is. */
function decodeRecords(columns: Columns, batchAt: number, end: number, from: number, row: number): number {
  const { buffer, offsets, timestamps, keyStart, keyEnd, valueStart, valueEnd } = columns;
  const attributes = buffer[batchAt + AT.attributes + 1] as number;
  if ((attributes & ATTRIBUTE.compression) !== 0)
    throw corrupt("it is compressed, and was not decompressed by the log's adapter", { at: batchAt });
  const baseOffset = readInt64(buffer, batchAt);
  const logAppendTime = (attributes & ATTRIBUTE.logAppendTime) !== 0;
  const maxTimestamp = readInt64(buffer, batchAt + AT.maxTimestamp);
  const baseTimestamp = logAppendTime ? maxTimestamp : readInt64(buffer, batchAt + AT.baseTimestamp);
  const lastOffsetDelta = buffer.readInt32BE(batchAt + AT.lastOffsetDelta);
  const records = buffer.readInt32BE(batchAt + AT.count);
  let at = batchAt + HEADER_BYTES;
  let previous = -1;
  for (let n = 0; n < records; n++) {
    let byte = buffer[at++] as number;
    let raw = byte & 127;
    for (let shift = 7; byte > 127; shift += 7) {
      if (shift > 28 || at >= end) throw badRecord(batchAt, n);
      byte = buffer[at++] as number;
      raw |= (byte & 127) << shift;
    }
    const recordEnd = at + ((raw >>> 1) ^ -(raw & 1));
    if (!(recordEnd <= end && recordEnd >= at + 6)) throw badRecord(batchAt, n);
    at++;

    byte = buffer[at++] as number;
    let timestampDelta: number;
    if (byte < 128) timestampDelta = (byte >>> 1) ^ -(byte & 1);
    else {
      // Up to ten bytes: sums in a double, which is exact for every timestamp a record can sensibly have.
      let sum = byte & 127;
      let factor = 128;
      const odd = byte & 1;
      do {
        if (at >= recordEnd || factor > 2 ** 63) throw badRecord(batchAt, n);
        byte = buffer[at++] as number;
        sum += (byte & 127) * factor;
        factor *= 128;
      } while (byte > 127);
      timestampDelta = odd === 1 ? -(sum + 1) / 2 : sum / 2;
    }

    byte = buffer[at++] as number;
    raw = byte & 127;
    for (let shift = 7; byte > 127; shift += 7) {
      if (shift > 28 || at >= recordEnd) throw badRecord(batchAt, n);
      byte = buffer[at++] as number;
      raw |= (byte & 127) << shift;
    }
    const offsetDelta = (raw >>> 1) ^ -(raw & 1);
    if (offsetDelta <= previous || offsetDelta > lastOffsetDelta) throw badRecord(batchAt, n);
    previous = offsetDelta;

    byte = buffer[at++] as number;
    raw = byte & 127;
    for (let shift = 7; byte > 127; shift += 7) {
      if (shift > 28 || at >= recordEnd) throw badRecord(batchAt, n);
      byte = buffer[at++] as number;
      raw |= (byte & 127) << shift;
    }
    const keyLength = (raw >>> 1) ^ -(raw & 1);
    const key = at;
    if (keyLength > 0) at += keyLength;
    if (keyLength < -1 || at >= recordEnd) throw badRecord(batchAt, n);

    byte = buffer[at++] as number;
    raw = byte & 127;
    for (let shift = 7; byte > 127; shift += 7) {
      if (shift > 28 || at >= recordEnd) throw badRecord(batchAt, n);
      byte = buffer[at++] as number;
      raw |= (byte & 127) << shift;
    }
    const valueLength = (raw >>> 1) ^ -(raw & 1);
    const value = at;
    if (valueLength > 0) at += valueLength;
    if (valueLength < -1 || at >= recordEnd) throw badRecord(batchAt, n);

    const offset = baseOffset + offsetDelta;
    if (offset >= from) {
      offsets[row] = offset;
      timestamps[row] = logAppendTime ? maxTimestamp : baseTimestamp + timestampDelta;
      keyStart[row] = keyLength < 0 ? -1 : key;
      keyEnd[row] = keyLength < 0 ? -1 : key + keyLength;
      valueStart[row] = valueLength < 0 ? -1 : value;
      valueEnd[row] = valueLength < 0 ? -1 : value + valueLength;
      if (buffer[at] !== 0 || at + 1 !== recordEnd) setHeaders(columns, row, readHeaders(buffer, at, recordEnd, batchAt, n));
      row++;
    }
    at = recordEnd;
  }
  if (at !== end) throw corrupt(`the batch at byte ${batchAt} has ${end - at} bytes after its last record`, { at: batchAt });
  return row;
}

function badRecord(batchAt: number, n: number): Error {
  return corrupt(`record ${n} of the batch at byte ${batchAt} does not fit its lengths`, { at: batchAt, record: n });
}

function setHeaders(columns: Columns, row: number, headers: Headers | null): void {
  if (headers === null) return;
  columns.headers ??= [];
  while (columns.headers.length < row) columns.headers.push(null);
  columns.headers[row] = headers;
}

function readHeaders(buffer: Buffer, from: number, end: number, batchAt: number, n: number): Headers | null {
  let at = from;
  const varint = (): number => {
    let raw = 0;
    for (let shift = 0; ; shift += 7) {
      if (shift > 28 || at >= end) throw badRecord(batchAt, n);
      const byte = buffer[at++] as number;
      raw |= (byte & 127) << shift;
      if (byte < 128) return (raw >>> 1) ^ -(raw & 1);
    }
  };
  const count = varint();
  const headers: [string, Uint8Array | null][] = [];
  if (count < 0) throw badRecord(batchAt, n);
  for (let i = 0; i < count; i++) {
    const nameLength = varint();
    if (nameLength < 0 || at + nameLength > end) throw badRecord(batchAt, n);
    const name = fastBuffer(buffer).utf8Slice(at, at + nameLength);
    at += nameLength;
    const valueLength = varint();
    if (valueLength < -1 || (valueLength > 0 && at + valueLength > end)) throw badRecord(batchAt, n);
    headers.push([name, valueLength < 0 ? null : buffer.subarray(at, at + valueLength)]);
    if (valueLength > 0) at += valueLength;
  }
  if (at !== end) throw badRecord(batchAt, n);
  return count === 0 ? null : headers;
}
