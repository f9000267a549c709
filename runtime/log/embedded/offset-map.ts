import { murmur2 } from "../partitioner.ts";

/** Bytes of keys that a map takes before it is full. */
const MAX_KEY_BYTES = 64 * 1024 * 1024;

/**
 * Keys with their last offsets, for compaction: open addressing over flat memory, with the key bytes in an arena, so that a
 * million keys take some 40 MB and nothing for the garbage collector to walk. Exact: keys are compared, not only hashed. Of
 * fixed capacity, because rehashing a large map would hold up the event loop.
 */
export class OffsetMap {
  readonly #capacity: number;
  /** Entry number + 1, so that fresh memory means free. */
  readonly #slots: Int32Array;
  readonly #hashes: Int32Array;
  readonly #offsets: Float64Array;
  readonly #ends: Int32Array;
  #arena: Buffer;
  #used = 0;
  #size = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
    this.#slots = new Int32Array(2 ** Math.ceil(Math.log2(capacity * 1.6 + 2)));
    this.#hashes = new Int32Array(capacity);
    this.#offsets = new Float64Array(capacity);
    this.#ends = new Int32Array(capacity);
    this.#arena = Buffer.allocUnsafeSlow(Math.min(MAX_KEY_BYTES, capacity * 32 + 1024));
  }

  get size(): number {
    return this.#size;
  }

  get full(): boolean {
    return this.#size === this.#capacity || this.#used >= MAX_KEY_BYTES;
  }

  /** Sets the offset of the key in bytes[start, end). A full map takes no new keys (RangeError). */
  set(bytes: Buffer, start: number, end: number, offset: number): void {
    const hash = murmur2(bytes, start, end);
    const slot = this.#find(bytes, start, end, hash);
    const found = (this.#slots[slot] as number) - 1;
    if (found >= 0) {
      this.#offsets[found] = offset;
      return;
    }
    if (this.#size === this.#capacity) throw new RangeError(`An offset map for ${this.#capacity} keys is full.`);
    const length = end - start;
    if (this.#used + length > this.#arena.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(this.#arena.length * 2, this.#used + length));
      this.#arena.copy(larger, 0, 0, this.#used);
      this.#arena = larger;
    }
    bytes.copy(this.#arena, this.#used, start, end);
    this.#used += length;
    this.#hashes[this.#size] = hash;
    this.#offsets[this.#size] = offset;
    this.#ends[this.#size] = this.#used;
    this.#slots[slot] = ++this.#size;
  }

  /** Offset of the key in bytes[start, end), or -1. */
  get(bytes: Buffer, start: number, end: number): number {
    const found = (this.#slots[this.#find(bytes, start, end, murmur2(bytes, start, end))] as number) - 1;
    return found < 0 ? -1 : (this.#offsets[found] as number);
  }

  /** The slot that holds the key, or the free one where it belongs. */
  #find(bytes: Buffer, start: number, end: number, hash: number): number {
    const mask = this.#slots.length - 1;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const found = (this.#slots[slot] as number) - 1;
      if (found < 0 || (this.#hashes[found] === hash && this.#isKey(found, bytes, start, end))) return slot;
    }
  }

  #isKey(entry: number, bytes: Buffer, start: number, end: number): boolean {
    const from = entry === 0 ? 0 : (this.#ends[entry - 1] as number);
    const to = this.#ends[entry] as number;
    if (to - from !== end - start) return false;
    for (let i = from, j = start; i < to; i++, j++) if (this.#arena[i] !== bytes[j]) return false;
    return true;
  }
}
