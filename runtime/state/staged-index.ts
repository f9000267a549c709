import type { BatchBuilder } from "../log/record-batch.ts";
import { extended } from "./columns.ts";
import { textHash } from "./text-hash.ts";

const LEAST_SLOTS = 512;
/** Beyond so many, memory is let go of with the entries. */
const KEPT_SLOTS = 2 ** 17;

/**
 * Where the last record of each key ends its key, among the records of a batch builder. Keys are compared with the bytes they were
 * written as and not held here: strings that live for a commit interval are what V8's collector is slowest with.
 */
export class StagedIndex {
  readonly #records: BatchBuilder;
  /** Number of an entry + 1, at its key's hash or after; 0 is free. A power of two, at most half full. */
  #slots = new Int32Array(LEAST_SLOTS);
  #hashes = new Int32Array(LEAST_SLOTS / 2);
  /** Where the key ends; -1: dropped. */
  #ends = new Int32Array(LEAST_SLOTS / 2);
  #lengths = new Int32Array(LEAST_SLOTS / 2);
  #count = 0;
  /** Keys that are not ASCII: their bytes are not their units. */
  readonly #others = new Map<string, number>();

  constructor(records: BatchBuilder) {
    this.#records = records;
  }

  /** Where the last record of the key ends its key; undefined: there is none. */
  get(key: string): number | undefined {
    const entry = this.#find(key, textHash(key));
    if (entry >= 0) return this.#ends[entry] as number;
    return this.#others.size === 0 ? undefined : this.#others.get(key);
  }

  set(key: string, end: number): void {
    if (!this.#records.isKeyAt(end, key)) {
      this.#others.set(key, end);
      return;
    }
    const hash = textHash(key);
    const found = this.#find(key, hash);
    if (found >= 0) {
      this.#ends[found] = end;
      return;
    }
    if ((this.#count + 1) * 2 > this.#slots.length) this.#grow();
    this.#hashes[this.#count] = hash;
    this.#ends[this.#count] = end;
    this.#lengths[this.#count] = key.length;
    this.#count++;
    this.#place(hash, this.#count);
  }

  /** Leaves out the keys for which `gone` is true. */
  drop(gone: (key: string) => boolean): void {
    for (let entry = 0; entry < this.#count; entry++) {
      const end = this.#ends[entry] as number;
      if (end >= 0 && gone(this.#records.keyAt(end, this.#lengths[entry] as number))) this.#ends[entry] = -1;
    }
    for (const key of this.#others.keys()) if (gone(key)) this.#others.delete(key);
  }

  *keys(): Iterable<string> {
    for (let entry = 0; entry < this.#count; entry++) {
      const end = this.#ends[entry] as number;
      if (end >= 0) yield this.#records.keyAt(end, this.#lengths[entry] as number);
    }
    yield* this.#others.keys();
  }

  clear(): void {
    if (this.#slots.length > KEPT_SLOTS) {
      this.#slots = new Int32Array(LEAST_SLOTS);
      this.#hashes = new Int32Array(LEAST_SLOTS / 2);
      this.#ends = new Int32Array(LEAST_SLOTS / 2);
      this.#lengths = new Int32Array(LEAST_SLOTS / 2);
    } else this.#slots.fill(0);
    this.#count = 0;
    this.#others.clear();
  }

  #find(key: string, hash: number): number {
    const mask = this.#slots.length - 1;
    for (let at = hash & mask; ; at = (at + 1) & mask) {
      const entry = (this.#slots[at] as number) - 1;
      if (entry < 0) return -1;
      const end = this.#ends[entry] as number;
      if (this.#hashes[entry] === hash && this.#lengths[entry] === key.length && end >= 0 && this.#records.isKeyAt(end, key)) return entry;
    }
  }

  #place(hash: number, mark: number): void {
    const mask = this.#slots.length - 1;
    let at = hash & mask;
    while (this.#slots[at] !== 0) at = (at + 1) & mask;
    this.#slots[at] = mark;
  }

  #grow(): void {
    const slots = this.#slots.length * 2;
    this.#hashes = extended(this.#hashes, new Int32Array(slots / 2));
    this.#ends = extended(this.#ends, new Int32Array(slots / 2));
    this.#lengths = extended(this.#lengths, new Int32Array(slots / 2));
    this.#slots = new Int32Array(slots);
    for (let entry = 0; entry < this.#count; entry++) this.#place(this.#hashes[entry] as number, entry + 1);
  }
}
