import type { BatchBuilder } from "../log/record-batch.ts";
import { extended } from "./columns.ts";
import { KeyTable, NO_CELL } from "./key-table.ts";
import { textHash } from "./text-hash.ts";

const LEAST_ENTRIES = 256;
/** Beyond so many, memory is let go of with the entries. */
const KEPT_ENTRIES = 2 ** 16;

/**
 * Where the last record of each key ends its key, among the records of a batch builder. Keys are compared with the bytes they were
 * written as and not held here: strings that live for a commit interval are what V8's collector is slowest with.
 */
export class StagedIndex {
  readonly #records: BatchBuilder;
  readonly #table = new KeyTable();
  /** Where the key ends; -1: dropped. */
  #ends = new Int32Array(LEAST_ENTRIES);
  #lengths = new Int32Array(LEAST_ENTRIES);
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
    if (this.#count === this.#ends.length) this.#grow();
    this.#ends[this.#count] = end;
    this.#lengths[this.#count] = key.length;
    this.#table.insert(hash, this.#count++);
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
    this.#table.clear();
    if (this.#ends.length > KEPT_ENTRIES) {
      this.#ends = new Int32Array(LEAST_ENTRIES);
      this.#lengths = new Int32Array(LEAST_ENTRIES);
    }
    this.#count = 0;
    this.#others.clear();
  }

  #find(key: string, hash: number): number {
    const table = this.#table;
    for (let cell = table.seek(hash); cell !== NO_CELL; cell = table.next(cell, hash)) {
      const entry = table.entryAt(cell);
      const end = this.#ends[entry] as number;
      if (this.#lengths[entry] === key.length && end >= 0 && this.#records.isKeyAt(end, key)) return entry;
    }
    return -1;
  }

  #grow(): void {
    this.#ends = extended(this.#ends, new Int32Array(this.#count * 2));
    this.#lengths = extended(this.#lengths, new Int32Array(this.#count * 2));
  }
}
