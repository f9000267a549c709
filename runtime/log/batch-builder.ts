import { AT, fillCrc, HEADER_BYTES, NO_TIMESTAMP, readInt64, writeInt64 } from "./batch-header.ts";
import { decodeBatches } from "./batch-decoder.ts";
import { type FastBuffer, fastBuffer } from "./fast-buffer.ts";
import type { Headers } from "./record-batch.ts";
import { varintSize, writeVarint } from "./varint.ts";

const MARK_FACTOR = 2 ** 31;
const NO_HEADERS: Headers = [];

export interface BatchBuilderOptions {
  /** Fill in the CRC-32C. Default false: the embedded log is checked by RocksDB, the Kafka adapter fills it in last, with the producer's fields. */
  readonly crc?: boolean;
  /** Begin another batch after so many bytes. Default 128 KiB: a batch is one value of the embedded log. */
  readonly maxBatchBytes?: number;
}

/**
 * Encodes records into v2 batches, one after another in one buffer that grows and is used again. No object is made per
 * record. A batch holds either only records with timestamps or only ones without (`NO_TIMESTAMP`).
 */
export class BatchBuilder {
  readonly #crc: boolean;
  readonly #maxBatchBytes: number;
  #buffer: FastBuffer;
  #at = 0;
  #count = 0;
  /** The open batch: where it starts, how many records came before it, its timestamps. */
  #start = 0;
  #base = 0;
  #baseTimestamp = NO_TIMESTAMP;
  #maxTimestamp = NO_TIMESTAMP;
  #open = false;
  /** Starts of the closed batches before the open one, and the record numbers they begin with. */
  readonly #starts: number[] = [];
  readonly #bases: number[] = [];

  constructor({ crc = false, maxBatchBytes = 128 * 1024 }: BatchBuilderOptions = {}) {
    this.#crc = crc;
    this.#maxBatchBytes = maxBatchBytes;
    this.#buffer = fastBuffer(Buffer.allocUnsafeSlow(4096));
  }

  /** Records appended since the last reset. */
  get count(): number {
    return this.#count;
  }

  /** Bytes that finish() would return. */
  get bytes(): number {
    return this.#at;
  }

  /** Adds a record. `timestamp` is epoch ms, or `NO_TIMESTAMP` (-1) for the time at which the log takes it. */
  append(key: string | Uint8Array | null, value: Uint8Array | null, timestamp: number, headers?: Headers | null): void {
    if (!this.#open || this.#at - this.#start >= this.#maxBatchBytes || (timestamp === NO_TIMESTAMP) !== (this.#baseTimestamp === NO_TIMESTAMP)) this.#openBatch(timestamp);
    const keyLength = key === null ? -1 : key.length;
    const valueLength = value === null ? -1 : value.length;
    const room = 48 + (keyLength > 0 ? keyLength * 3 : 0) + (valueLength > 0 ? valueLength : 0);
    if (this.#at + room > this.#buffer.length) this.#grow(room);
    const start = this.#at;
    // A string's length is its byte count while it is ASCII; when it turns out not to be, the record is written again.
    if (!this.#write(key, keyLength, value, valueLength, timestamp, headers ?? NO_HEADERS)) {
      this.#at = start;
      this.#write(key, Buffer.byteLength(key as string), value, valueLength, timestamp, headers ?? NO_HEADERS);
    }
    this.#count++;
    if (timestamp > this.#maxTimestamp) this.#maxTimestamp = timestamp;
  }

  #write(key: string | Uint8Array | null, keyLength: number, value: Uint8Array | null, valueLength: number, timestamp: number, headers: Headers): boolean {
    const timestampDelta = timestamp - this.#baseTimestamp;
    const offsetDelta = this.#count - this.#base;
    let size = 1 + varintSize(timestampDelta) + varintSize(offsetDelta) + varintSize(keyLength) + varintSize(valueLength);
    if (keyLength > 0) size += keyLength;
    if (valueLength > 0) size += valueLength;
    const headerBytes = headers.length === 0 ? 1 : headersSize(headers);
    if (headerBytes > 1) {
      const room = size + headerBytes + 8;
      if (this.#at + room > this.#buffer.length) this.#grow(room);
    }
    const buffer = this.#buffer;
    let at = writeVarint(buffer, size + headerBytes, this.#at);
    buffer[at++] = 0;
    at = writeVarint(buffer, timestampDelta, at);
    at = writeVarint(buffer, offsetDelta, at);
    at = writeVarint(buffer, keyLength, at);
    if (key !== null) {
      if (typeof key === "string") {
        if (keyLength > 0 && buffer.utf8Write(key, at, key.length * 3) !== keyLength) return false;
      } else buffer.set(key, at);
      at += keyLength;
    }
    at = writeVarint(buffer, valueLength, at);
    if (value !== null) {
      buffer.set(value, at);
      at += valueLength;
    }
    if (headers.length === 0) buffer[at++] = 0;
    else at = writeHeaders(buffer, headers, at);
    this.#at = at;
    return true;
  }

  /** All batches, base offsets counting from 0, in memory of their own (transferable). The builder keeps its records until reset(). */
  finish(): Uint8Array {
    if (this.#open) this.#closeBatch();
    const out = Buffer.allocUnsafeSlow(this.#at);
    this.#buffer.copy(out, 0, 0, this.#at);
    return out;
  }

  /** A point to come back to with truncate(); good until the next reset(). */
  mark(): number {
    return this.#count * MARK_FACTOR + this.#at;
  }

  /** Drops the records appended since the mark. */
  truncate(mark: number): void {
    const count = Math.floor(mark / MARK_FACTOR);
    if (count === this.#count) return;
    if (count === 0) return this.reset();
    if (this.#base >= count) {
      while (this.#base >= count) {
        this.#base = this.#bases.pop() ?? 0;
        this.#start = this.#starts.pop() ?? 0;
      }
      this.#baseTimestamp = readInt64(this.#buffer, this.#start + AT.baseTimestamp);
    }
    this.#at = mark - count * MARK_FACTOR;
    this.#count = count;
    this.#recallTimestamps();
  }

  /** Forgets all records; the memory is kept for the next ones. */
  reset(): void {
    this.#at = this.#count = this.#start = this.#base = 0;
    this.#baseTimestamp = this.#maxTimestamp = NO_TIMESTAMP;
    this.#open = false;
    this.#starts.length = this.#bases.length = 0;
  }

  #openBatch(timestamp: number): void {
    if (this.#open) {
      this.#closeBatch();
      this.#starts.push(this.#start);
      this.#bases.push(this.#base);
    }
    this.#start = this.#at;
    this.#base = this.#count;
    this.#baseTimestamp = timestamp;
    this.#maxTimestamp = timestamp;
    this.#open = true;
    if (this.#at + HEADER_BYTES > this.#buffer.length) this.#grow(HEADER_BYTES);
    this.#at += HEADER_BYTES;
  }

  /** Writes the header of the open batch; it may still grow afterwards, and is then written again. */
  #closeBatch(): void {
    const buffer = this.#buffer;
    const at = this.#start;
    const count = this.#count - this.#base;
    writeInt64(buffer, this.#base, at);
    buffer.writeInt32BE(this.#at - at - 12, at + AT.length);
    buffer.writeInt32BE(-1, at + AT.leaderEpoch);
    buffer[at + AT.magic] = 2;
    buffer.writeUInt32BE(0, at + AT.crc);
    buffer.writeInt16BE(0, at + AT.attributes);
    buffer.writeInt32BE(count - 1, at + AT.lastOffsetDelta);
    writeInt64(buffer, this.#baseTimestamp, at + AT.baseTimestamp);
    writeInt64(buffer, this.#maxTimestamp, at + AT.maxTimestamp);
    buffer.fill(255, at + AT.producerId, at + AT.count);
    buffer.writeInt32BE(count, at + AT.count);
    if (this.#crc) fillCrc(buffer, at, this.#at);
  }

  /** After a truncate: the timestamps of the records that are left in the now open batch. */
  #recallTimestamps(): void {
    this.#closeBatch();
    const kept = decodeBatches(this.#buffer.subarray(this.#start, this.#at));
    this.#maxTimestamp = kept.timestamps.reduce((most, timestamp) => Math.max(most, timestamp), NO_TIMESTAMP);
  }

  #grow(room: number): void {
    const larger = fastBuffer(Buffer.allocUnsafeSlow(Math.max(this.#buffer.length * 2, this.#at + room)));
    this.#buffer.copy(larger, 0, 0, this.#at);
    this.#buffer = larger;
  }
}

function headersSize(headers: Headers): number {
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
    at += buffer.utf8Write(name, at, nameLength);
    at = writeVarint(buffer, value === null ? -1 : value.length, at);
    if (value !== null) {
      buffer.set(value, at);
      at += value.length;
    }
  }
  return at;
}
