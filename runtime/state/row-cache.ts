import { textHash } from "./text-hash.ts";

/** Rows begin at multiples of this, bytes. */
const UNIT = 8;
/** Hash, bytes of the key, bytes of the value; -1 for a key that is deleted. */
const HEADER = 12;
const WAYS = 4;
/** A bucket: for each way a row's place in units + 1, and its hash. */
const BUCKET = WAYS * 2;
/** What a row takes on average, about: more rows than buckets have ways for are forgotten early, fewer waste the index. */
const ROW_BYTES = 64;
/** The largest place that the index can hold; before it, places are counted from 0 again. */
const PLACES = 2 ** 31 - 2;

/** No row. */
export const MISS = -1;

/**
 * The rows written last, as bytes, in a ring: a read that finds its key here costs a tenth of one of RocksDB, and nothing of it lives
 * in V8's heap. A cache: any row may be missing, but one that is here is the newest there is, as long as every write comes by.
 */
export class RowCache {
  readonly memory: Buffer;
  /** The same memory, for the headers. */
  readonly #words: Int32Array;
  readonly #units: number;
  readonly #index: Int32Array;
  readonly #mask: number;
  readonly #places: number;
  /** Where the next row goes: counts on when the ring begins again. */
  #head = 0;
  /** Places before this are forgotten. */
  #floor = 0;
  /** Of what was written before this place, a row may be missing. */
  #whole = 0;

  /** `bytes` of memory, the index included. At least 64 KiB. */
  constructor(bytes: number, places = PLACES) {
    this.#places = places;
    const buckets = 2 ** Math.max(4, Math.floor(Math.log2(bytes / ROW_BYTES / (WAYS - 1))));
    this.#index = new Int32Array(buckets * BUCKET);
    this.#mask = buckets - 1;
    this.#units = Math.floor((bytes - this.#index.byteLength) / UNIT);
    this.memory = Buffer.allocUnsafeSlow(this.#units * UNIT);
    this.#words = new Int32Array(this.memory.buffer);
  }

  /** The place of the next row, for `holdsSince`. */
  get place(): number {
    return this.#head;
  }

  /** Whether every row written at this place or after is here: then a key that is not was not written since. */
  holdsSince(place: number): boolean {
    return place >= this.#whole && place <= this.#head && this.#head - place <= this.#units;
  }

  /** Where in `memory` the row of the key begins; MISS. Good until the next change. */
  find(key: string): number {
    const hash = textHash(key);
    const index = this.#index;
    for (let at = (hash & this.#mask) * BUCKET, end = at + BUCKET; at < end; at += 2) {
      if (index[at + 1] !== hash) continue;
      const place = (index[at] as number) - 1;
      if (!this.#isWhole(place)) continue;
      const row = (place % this.#units) * UNIT;
      if (this.#isKey(row, key)) return row;
    }
    return MISS;
  }

  /** Where the value begins; MISS for a deleted key. */
  valueStart(row: number): number {
    return (this.#words[row / 4 + 2] as number) < 0 ? MISS : row + HEADER + (this.#words[row / 4 + 1] as number);
  }

  valueEnd(row: number): number {
    return row + HEADER + (this.#words[row / 4 + 1] as number) + (this.#words[row / 4 + 2] as number);
  }

  /** The value is bytes [from, to) of `bytes`, which are copied; null: deleted. */
  set(key: string, bytes: Uint8Array | null, from: number, to: number): void {
    const hash = textHash(key);
    const way = this.#wayFor(key, hash);
    const size = Math.ceil((HEADER + key.length + (to - from)) / UNIT);
    const row = size * 16 > this.#units ? MISS : this.#reserve(size);
    if (row === MISS || !this.#writeKey(row, key)) {
      // What is here of the key is no longer the newest.
      if (this.#isRowOf(way, hash, key)) this.#index[way] = 0;
      this.#whole = this.#head + 1;
      return;
    }
    const { memory } = this;
    this.#words[row / 4] = hash;
    this.#words[row / 4 + 1] = key.length;
    this.#words[row / 4 + 2] = bytes === null ? -1 : to - from;
    if (bytes !== null) for (let i = from, at = row + HEADER + key.length; i < to; i++) memory[at++] = bytes[i] as number;
    this.#index[way] = this.#head - size + 1;
    this.#index[way + 1] = hash;
  }

  clear(): void {
    this.#floor = this.#head;
    this.#whole = Math.max(this.#whole, this.#head);
  }

  #isWhole(place: number): boolean {
    return place >= this.#floor && this.#head - place <= this.#units;
  }

  /** The key's own way, or a free one, or the oldest, which is lost. */
  #wayFor(key: string, hash: number): number {
    const index = this.#index;
    const from = (hash & this.#mask) * BUCKET;
    let oldest = from;
    for (let at = from; at < from + BUCKET; at += 2) {
      if (this.#isRowOf(at, hash, key)) return at;
      if ((index[at] as number) < (index[oldest] as number)) oldest = at;
    }
    this.#whole = Math.max(this.#whole, index[oldest] as number);
    return oldest;
  }

  #isRowOf(way: number, hash: number, key: string): boolean {
    const place = (this.#index[way] as number) - 1;
    return this.#index[way + 1] === hash && this.#isWhole(place) && this.#isKey((place % this.#units) * UNIT, key);
  }

  #isKey(row: number, key: string): boolean {
    const { memory } = this;
    if (this.#words[row / 4 + 1] !== key.length) return false;
    for (let i = 0, at = row + HEADER; i < key.length; i++) if (memory[at++] !== key.charCodeAt(i)) return false;
    return true;
  }

  /** False: the key is not ASCII, its bytes are not its units. */
  #writeKey(row: number, key: string): boolean {
    for (let i = 0, at = row + HEADER; i < key.length; i++) {
      const unit = key.charCodeAt(i);
      if (unit > 127) return false;
      this.memory[at++] = unit;
    }
    return true;
  }

  /** Room for a row in one piece. */
  #reserve(size: number): number {
    if (this.#head > this.#places - 2 * this.#units) {
      this.#index.fill(0);
      this.#head = this.#floor = this.#whole = 0;
    }
    const left = this.#units - (this.#head % this.#units);
    if (left < size) this.#head += left;
    const row = (this.#head % this.#units) * UNIT;
    this.#head += size;
    return row;
  }
}
