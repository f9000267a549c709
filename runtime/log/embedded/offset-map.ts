import { murmur2 } from "../partitioner.ts";

/**
 * Keys with their last offsets, for compaction: open addressing over flat memory, with the key bytes in an arena, so that a
 * million keys take some 40 MB and nothing for the garbage collector to walk. Exact: keys are compared, not only hashed.
 */
export class OffsetMap {
  readonly #maxBytes: number;
  #slots: Int32Array;
  #hashes: Int32Array;
  #offsets: Float64Array;
  #ends: Int32Array;
  #arena: Buffer;
  #used = 0;
  #size = 0;

  /** `maxBytes`: about how much memory to use before `full`. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
    this.#slots = new Int32Array(1024).fill(-1);
    this.#hashes = new Int32Array(512);
    this.#offsets = new Float64Array(512);
    this.#ends = new Int32Array(512);
    this.#arena = Buffer.allocUnsafeSlow(16 * 1024);
  }

  get size(): number {
    return this.#size;
  }

  get full(): boolean {
    return this.#used + this.#size * 24 >= this.#maxBytes;
  }

  /** Sets the offset of the key in bytes[start, end). */
  set(bytes: Buffer, start: number, end: number, offset: number): void {
    const hash = murmur2(bytes, start, end);
    const slot = this.#find(bytes, start, end, hash);
    const found = this.#slots[slot] as number;
    if (found >= 0) {
      this.#offsets[found] = offset;
      return;
    }
    if (this.#size === this.#hashes.length) {
      this.#grow();
      return this.set(bytes, start, end, offset);
    }
    const length = end - start;
    if (this.#used + length > this.#arena.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(this.#arena.length * 2, this.#used + length));
      this.#arena.copy(larger, 0, 0, this.#used);
      this.#arena = larger;
    }
    bytes.copy(this.#arena, this.#used, start, end);
    this.#used += length;
    this.#slots[slot] = this.#size;
    this.#hashes[this.#size] = hash;
    this.#offsets[this.#size] = offset;
    this.#ends[this.#size] = this.#used;
    this.#size++;
  }

  /** Offset of the key in bytes[start, end), or -1. */
  get(bytes: Buffer, start: number, end: number): number {
    const found = this.#slots[this.#find(bytes, start, end, murmur2(bytes, start, end))] as number;
    return found < 0 ? -1 : (this.#offsets[found] as number);
  }

  /** The slot that holds the key, or the free one where it belongs. */
  #find(bytes: Buffer, start: number, end: number, hash: number): number {
    const mask = this.#slots.length - 1;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const found = this.#slots[slot] as number;
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

  #grow(): void {
    const size = this.#hashes.length * 2;
    const copy = <T extends Int32Array | Float64Array>(to: T, from: T): T => {
      to.set(from);
      return to;
    };
    this.#hashes = copy(new Int32Array(size), this.#hashes);
    this.#offsets = copy(new Float64Array(size), this.#offsets);
    this.#ends = copy(new Int32Array(size), this.#ends);
    this.#slots = new Int32Array(size * 2).fill(-1);
    const mask = this.#slots.length - 1;
    for (let entry = 0; entry < this.#size; entry++) {
      let slot = (this.#hashes[entry] as number) & mask;
      while ((this.#slots[slot] as number) >= 0) slot = (slot + 1) & mask;
      this.#slots[slot] = entry;
    }
  }
}
