import { extended } from "./columns.ts";
import { KeyTable, NO_CELL } from "./key-table.ts";
import type { Stamped } from "./store.ts";
import { textHash } from "./text-hash.ts";

const LEAST_ROWS = 256;
/** The layer below has the key. */
const EXISTS = 1;
const DIRTY = 2;
/** Somebody else has taken the key over. */
const TAKEN = 4;

/** No row. */
export const NO_ROW = -1;

/** What was read for the records at hand, and what became of it since: a row in columns for each key. */
export class WorkingSet {
  readonly #table = new KeyTable();
  #hashes = new Int32Array(LEAST_ROWS);
  #timestamps = new Float64Array(LEAST_ROWS);
  #flags = new Uint8Array(LEAST_ROWS);
  readonly #keys: (string | undefined)[] = [];
  /** Undefined: there is none. */
  readonly #values: unknown[] = [];
  #size = 0;
  #dirty = 0;

  get size(): number {
    return this.#size;
  }

  /** Dirty rows. */
  get dirty(): number {
    return this.#dirty;
  }

  find(key: string): number {
    if (this.#size === 0) return NO_ROW;
    const row = this.#find(key, textHash(key));
    return row === NO_ROW || this.isTaken(row) ? NO_ROW : row;
  }

  isTaken(row: number): boolean {
    return ((this.#flags[row] as number) & TAKEN) !== 0;
  }

  /** What is to be known of the key is elsewhere from now on. Returns what was known here. */
  take(row: number): Stamped | undefined {
    const entry = this.entryOf(row);
    if (this.isDirty(row)) this.#dirty--;
    this.#flags[row] = TAKEN;
    this.#values[row] = undefined;
    return entry;
  }

  /** Takes in a key that is not there, or was taken, as the layer below has it. */
  add(key: string, entry: Stamped | undefined): void {
    const hash = textHash(key);
    let row = this.#find(key, hash);
    if (row === NO_ROW) {
      if (this.#size === this.#flags.length) this.#grow();
      row = this.#size++;
      this.#hashes[row] = hash;
      this.#keys[row] = key;
      this.#table.insert(hash, row);
    }
    this.#values[row] = entry?.value;
    this.#timestamps[row] = entry?.timestamp ?? -1;
    this.#flags[row] = entry === undefined ? 0 : EXISTS;
  }

  entryOf(row: number): Stamped | undefined {
    const value = this.#values[row];
    return value === undefined ? undefined : { value, timestamp: this.#timestamps[row] as number };
  }

  keyOf(row: number): string {
    return this.#keys[row] as string;
  }

  valueOf(row: number): unknown {
    return this.#values[row];
  }

  timestampOf(row: number): number {
    return this.#timestamps[row] as number;
  }

  hashOf(row: number): number {
    return this.#hashes[row] as number;
  }

  isDirty(row: number): boolean {
    return ((this.#flags[row] as number) & DIRTY) !== 0;
  }

  /** The layer below has the key. */
  exists(row: number): boolean {
    return ((this.#flags[row] as number) & EXISTS) !== 0;
  }

  /** By how many entries the row changes its store. */
  growthOf(row: number): number {
    return (this.#values[row] === undefined ? 0 : 1) - (this.exists(row) ? 1 : 0);
  }

  /** `value` undefined: deleted. */
  update(row: number, value: unknown, timestamp: number): void {
    this.#values[row] = value;
    this.#timestamps[row] = timestamp;
    if (this.isDirty(row)) return;
    this.#flags[row] = (this.#flags[row] as number) | DIRTY;
    this.#dirty++;
  }

  /** The layer below has it now as the row does. */
  settle(row: number): void {
    if (!this.isDirty(row)) return;
    this.#flags[row] = this.#values[row] === undefined ? 0 : EXISTS;
    this.#dirty--;
  }

  clear(): void {
    if (this.#size === 0) return;
    this.#table.clear();
    this.#keys.fill(undefined, 0, this.#size);
    this.#values.fill(undefined, 0, this.#size);
    this.#size = this.#dirty = 0;
  }

  #find(key: string, hash: number): number {
    const table = this.#table;
    for (let cell = table.seek(hash); cell !== NO_CELL; cell = table.next(cell, hash)) {
      const row = table.entryAt(cell);
      if (this.#keys[row] === key) return row;
    }
    return NO_ROW;
  }

  #grow(): void {
    const rows = this.#size * 2;
    this.#hashes = extended(this.#hashes, new Int32Array(rows));
    this.#timestamps = extended(this.#timestamps, new Float64Array(rows));
    this.#flags = extended(this.#flags, new Uint8Array(rows));
  }
}
