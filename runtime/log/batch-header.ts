import { KeyfoldError } from "../errors.ts";
import { crc32c } from "./crc32c.ts";

/** Byte positions of the fields in a v2 batch header, and its size. */
export const AT = {
  baseOffset: 0,
  length: 8,
  leaderEpoch: 12,
  magic: 16,
  crc: 17,
  attributes: 21,
  lastOffsetDelta: 23,
  baseTimestamp: 27,
  maxTimestamp: 35,
  producerId: 43,
  producerEpoch: 51,
  baseSequence: 53,
  count: 57,
} as const;

export const HEADER_BYTES = 61;
/** Bits of the attributes field. */
export const ATTRIBUTE = { compression: 0x07, logAppendTime: 0x08, transactional: 0x10, control: 0x20 } as const;
/** A record or batch without a timestamp; the log stamps it with the time of the append. */
export const NO_TIMESTAMP = -1;

const TWO_32 = 4294967296;

/** Signed 64-bit number; exact to 2^53. */
export function readInt64(buffer: Buffer, at: number): number {
  return buffer.readInt32BE(at) * TWO_32 + buffer.readUInt32BE(at + 4);
}

export function writeInt64(buffer: Buffer, value: number, at: number): void {
  const high = Math.floor(value / TWO_32);
  buffer.writeInt32BE(high, at);
  buffer.writeUInt32BE(value - high * TWO_32, at + 4);
}

/** The same bytes as a Buffer, without copying. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function corrupt(what: string, details: Record<string, unknown> = {}): KeyfoldError {
  return new KeyfoldError("log-corrupt", `The bytes of a record batch are not valid: ${what}.`, { remedy: "corrupt", details });
}

/** End of the batch that starts at `at`, after checking that its header is sound and lies within the buffer. */
export function batchEnd(buffer: Buffer, at: number): number {
  if (at + HEADER_BYTES > buffer.length)
    throw corrupt(`a header needs ${HEADER_BYTES} bytes, ${buffer.length - at} are left at byte ${at}`, { at });
  const length = buffer.readInt32BE(at + AT.length);
  const end = at + 12 + length;
  if (length < HEADER_BYTES - 12 || end > buffer.length) {
    throw corrupt(`the batch at byte ${at} says it is ${length + 12} bytes long, ${buffer.length - at} are there`, { at, length });
  }
  if (buffer[at + AT.magic] !== 2)
    throw corrupt(`the batch at byte ${at} has format version ${buffer[at + AT.magic]}, only 2 is known`, { at });
  const count = buffer.readInt32BE(at + AT.count);
  if (count < 0 || count > length || buffer.readInt32BE(at + AT.lastOffsetDelta) < 0)
    throw corrupt(`the batch at byte ${at} says it holds ${count} records`, { at, count });
  return end;
}

/** Offset of the last record of the batch at `at`, a removed one included. */
export function lastOffset(buffer: Buffer, at: number): number {
  return readInt64(buffer, at + AT.baseOffset) + buffer.readInt32BE(at + AT.lastOffsetDelta);
}

export function setBaseOffset(buffer: Buffer, at: number, offset: number): void {
  writeInt64(buffer, offset, at + AT.baseOffset);
}

/** Writes the header of the batch from `at` to `end`: no producer, no checksum, uncompressed. */
export function writeHeader(
  buffer: Buffer,
  at: number,
  end: number,
  baseOffset: number,
  lastOffsetDelta: number,
  baseTimestamp: number,
  maxTimestamp: number,
  count: number,
): void {
  writeInt64(buffer, baseOffset, at);
  buffer.writeInt32BE(end - at - 12, at + AT.length);
  buffer.writeInt32BE(-1, at + AT.leaderEpoch);
  buffer[at + AT.magic] = 2;
  buffer.writeUInt32BE(0, at + AT.crc);
  buffer.writeInt16BE(0, at + AT.attributes);
  buffer.writeInt32BE(lastOffsetDelta, at + AT.lastOffsetDelta);
  writeInt64(buffer, baseTimestamp, at + AT.baseTimestamp);
  writeInt64(buffer, maxTimestamp, at + AT.maxTimestamp);
  buffer.fill(255, at + AT.producerId, at + AT.count);
  buffer.writeInt32BE(count, at + AT.count);
}

/** Writes the checksum of the batch from `at` to `end`. Base offset and leader epoch are not covered by it. */
export function fillCrc(buffer: Buffer, at: number, end: number): void {
  buffer.writeUInt32BE(crc32c(buffer, at + AT.attributes, end), at + AT.crc);
}

/** Gives a batch that was built without timestamps one, and renews its checksum if it had one. */
export function stampIfUntimed(buffer: Buffer, at: number, end: number, timestamp: number): void {
  if (readInt64(buffer, at + AT.baseTimestamp) !== NO_TIMESTAMP || readInt64(buffer, at + AT.maxTimestamp) !== NO_TIMESTAMP) return;
  writeInt64(buffer, timestamp, at + AT.baseTimestamp);
  writeInt64(buffer, timestamp, at + AT.maxTimestamp);
  if (buffer.readUInt32BE(at + AT.crc) !== 0) fillCrc(buffer, at, end);
}

/** Gives all records of a batch the time of their append, whatever their own (`LogAppendTime`), and renews its checksum if it had one. */
export function stampAppended(buffer: Buffer, at: number, end: number, timestamp: number): void {
  buffer[at + AT.attributes + 1] = (buffer[at + AT.attributes + 1] as number) | ATTRIBUTE.logAppendTime;
  writeInt64(buffer, timestamp, at + AT.maxTimestamp);
  if (buffer.readUInt32BE(at + AT.crc) !== 0) fillCrc(buffer, at, end);
}

/** Sum of the records of all batches in `data`, after checking every header: what the log does before it takes bytes in. */
export function countRecords(data: Uint8Array): number {
  const buffer = asBuffer(data);
  let count = 0;
  for (let at = 0; at < buffer.length; ) {
    const end = batchEnd(buffer, at);
    count += buffer.readInt32BE(at + AT.count);
    at = end;
  }
  return count;
}
