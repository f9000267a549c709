import { decodeBatches } from "./batch-decoder.ts";
import { AT, fillCrc, HEADER_BYTES, NO_TIMESTAMP, readInt64, writeHeader } from "./batch-header.ts";
import { type FastBuffer, fastBuffer } from "./fast-buffer.ts";
import type { Headers } from "./record-batch.ts";
import { encodeRecord, headersSize, MAX_TIMESTAMP_DELTA, NO_HEADERS, recordSize } from "./record-encoder.ts";
import { readVarint, varintSize } from "./varint.ts";

const MARK_FACTOR = 2 ** 31;
/** A buffer that had to grow beyond this is let go of at the next reset. */
const KEPT_BYTES = 4 * 1024 * 1024;
/** A buffer larger than this grows by a quarter, not to twice its size: it is kept, and each store has two. */
const LARGE_BYTES = 256 * 1024;

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
    this.appendPart(key, value, 0, value === null ? 0 : value.length, timestamp, headers ?? NO_HEADERS);
  }

  /** The same with bytes [from, to) of `value`; returns where its key ends, for `valueAt`. */
  appendPart(
    key: string | Uint8Array | null,
    value: Uint8Array | null,
    from: number,
    to: number,
    timestamp: number,
    headers: Headers = NO_HEADERS,
  ): number {
    if (!this.#fits(timestamp)) this.#openBatch(timestamp);
    // A string's length is its byte count while it is ASCII; when it turns out not to be, the record is written again.
    if (!this.#write(key, key === null ? -1 : key.length, value, from, to, timestamp, headers))
      this.#write(key, Buffer.byteLength(key as string), value, from, to, timestamp, headers);
    this.#count++;
    if (timestamp > this.#maxTimestamp) this.#maxTimestamp = timestamp;
    const length = value === null ? -1 : to - from;
    return this.#at - headersSize(headers) - Math.max(length, 0) - varintSize(length);
  }

  #write(
    key: string | Uint8Array | null,
    keyLength: number,
    value: Uint8Array | null,
    from: number,
    to: number,
    timestamp: number,
    headers: Headers,
  ): boolean {
    const timestampDelta = timestamp - this.#baseTimestamp;
    const offsetDelta = this.#count - this.#base;
    const size = recordSize(timestampDelta, offsetDelta, keyLength, value === null ? -1 : to - from, headers);
    // utf8Write is told the most that the key can take, and must find that much room.
    const room = size + 10 + (typeof key === "string" ? key.length * 3 : 0);
    if (this.#at + room > this.#buffer.length) this.#grow(room);
    const end = encodeRecord(this.#buffer, this.#at, size, timestampDelta, offsetDelta, key, keyLength, value, headers, from, to);
    if (end < 0) return false;
    this.#at = end;
    return true;
  }

  /** The value of the record whose key ends at `keyEnd`: a view, good until the next append or reset. */
  valueAt(keyEnd: number): Uint8Array | null {
    const position = { at: keyEnd };
    const length = readVarint(this.#buffer, position);
    return length < 0 ? null : this.#buffer.subarray(position.at, position.at + length);
  }

  /** Whether the record whose key ends at `keyEnd` has this key, and it is ASCII. The key's length is for the caller to compare. */
  isKeyAt(keyEnd: number, key: string): boolean {
    const buffer = this.#buffer;
    for (let i = key.length, at = keyEnd; i > 0; ) {
      const unit = key.charCodeAt(--i);
      if (buffer[--at] !== unit || unit > 127) return false;
    }
    return true;
  }

  /** The ASCII key of `length` that ends at `keyEnd`. */
  keyAt(keyEnd: number, length: number): string {
    return this.#buffer.latin1Slice(keyEnd - length, keyEnd);
  }

  /** All batches, base offsets counting from 0, in the builder's own memory: good until the next append or reset. */
  view(): Buffer {
    if (this.#open) this.#closeBatch();
    return this.#buffer.subarray(0, this.#at);
  }

  /** The same in memory of their own (transferable). The builder keeps its records until reset(). */
  finish(): Uint8Array {
    const view = this.view();
    const out = Buffer.allocUnsafeSlow(view.length);
    view.copy(out);
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
    if (count === 0) {
      this.reset();
      return;
    }
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

  /** Forgets all records; the memory is kept for the next ones, unless it is much. */
  reset(): void {
    if (this.#buffer.length > KEPT_BYTES) this.#buffer = fastBuffer(Buffer.allocUnsafeSlow(4096));
    this.#at = this.#count = this.#start = this.#base = 0;
    this.#baseTimestamp = this.#maxTimestamp = NO_TIMESTAMP;
    this.#open = false;
    this.#starts.length = this.#bases.length = 0;
  }

  #fits(timestamp: number): boolean {
    if (!this.#open || this.#at - this.#start >= this.#maxBatchBytes) return false;
    return (
      (timestamp === NO_TIMESTAMP) === (this.#baseTimestamp === NO_TIMESTAMP) &&
      Math.abs(timestamp - this.#baseTimestamp) <= MAX_TIMESTAMP_DELTA
    );
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
    const count = this.#count - this.#base;
    writeHeader(this.#buffer, this.#start, this.#at, this.#base, count - 1, this.#baseTimestamp, this.#maxTimestamp, count);
    if (this.#crc) fillCrc(this.#buffer, this.#start, this.#at);
  }

  /** After a truncate: the timestamps of the records that are left in the now open batch. */
  #recallTimestamps(): void {
    this.#closeBatch();
    const kept = decodeBatches(this.#buffer.subarray(this.#start, this.#at));
    this.#maxTimestamp = kept.timestamps.reduce((most, timestamp) => Math.max(most, timestamp), NO_TIMESTAMP);
  }

  #grow(room: number): void {
    const { length } = this.#buffer;
    const larger = fastBuffer(Buffer.allocUnsafeSlow(Math.max(Math.floor(length * (length < LARGE_BYTES ? 2 : 1.25)), this.#at + room)));
    this.#buffer.copy(larger, 0, 0, this.#at);
    this.#buffer = larger;
  }
}
