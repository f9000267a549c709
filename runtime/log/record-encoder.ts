import type { FastBuffer } from "./fast-buffer.ts";
import type { Headers } from "./record-batch.ts";
import { varintSize, writeVarint } from "./varint.ts";

const FEW_BYTES = 96;
export const NO_HEADERS: Headers = [];
/** Timestamps farther apart go into different batches: a zigzag delta must stay exact in a double. */
export const MAX_TIMESTAMP_DELTA = 2 ** 51;

/** Bytes of a record after its length field. */
export function recordSize(timestampDelta: number, offsetDelta: number, keyLength: number, valueLength: number, headers: Headers): number {
  let size = 1 + varintSize(timestampDelta) + varintSize(offsetDelta) + varintSize(keyLength) + varintSize(valueLength);
  if (keyLength > 0) size += keyLength;
  if (valueLength > 0) size += valueLength;
  return size + headersSize(headers);
}

/** Writes one record of `size` bytes (as recordSize says) and its length; returns the position after it, or -1 when a string key takes other than `keyLength` bytes. */
export function encodeRecord(
  buffer: FastBuffer,
  from: number,
  size: number,
  timestampDelta: number,
  offsetDelta: number,
  key: string | Uint8Array | null,
  keyLength: number,
  value: Uint8Array | null,
  headers: Headers,
  valueFrom = 0,
  valueTo: number = value === null ? 0 : value.length,
): number {
  let at = writeVarint(buffer, size, from);
  buffer[at++] = 0;
  at = writeVarint(buffer, timestampDelta, at);
  at = writeVarint(buffer, offsetDelta, at);
  at = writeVarint(buffer, keyLength, at);
  if (key !== null) {
    if (typeof key !== "string") buffer.set(key, at);
    else if (keyLength > 0 && buffer.utf8Write(key, at, key.length * 3) !== keyLength) return -1;
    at += keyLength;
  }
  at = writeVarint(buffer, value === null ? -1 : valueTo - valueFrom, at);
  if (value !== null) {
    // A call costs more than a few bytes do.
    if (valueTo - valueFrom > FEW_BYTES) buffer.set(value.length === valueTo - valueFrom ? value : value.subarray(valueFrom, valueTo), at);
    else for (let from = valueFrom, to = at; from < valueTo; ) buffer[to++] = value[from++] as number;
    at += valueTo - valueFrom;
  }
  if (headers.length > 0) return writeHeaders(buffer, headers, at);
  buffer[at++] = 0;
  return at;
}

export function headersSize(headers: Headers): number {
  if (headers.length === 0) return 1;
  let size = varintSize(headers.length);
  for (const [name, value] of headers) {
    const nameLength = Buffer.byteLength(name);
    size += varintSize(nameLength) + nameLength + varintSize(value === null ? -1 : value.length) + (value === null ? 0 : value.length);
  }
  return size;
}

function writeHeaders(buffer: FastBuffer, headers: Headers, from: number): number {
  let at = writeVarint(buffer, headers.length, from);
  for (const [name, value] of headers) {
    const nameLength = Buffer.byteLength(name);
    at = writeVarint(buffer, nameLength, at);
    if (nameLength > 0) at += buffer.utf8Write(name, at, nameLength);
    at = writeVarint(buffer, value === null ? -1 : value.length, at);
    if (value !== null) {
      buffer.set(value, at);
      at += value.length;
    }
  }
  return at;
}
