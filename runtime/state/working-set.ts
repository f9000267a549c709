import { extended } from "./columns.ts";
import type { Stamped } from "./store.ts";
import { textHash } from "./text-hash.ts";

const LEAST_SLOTS = 512;
/** The layer below has the key. */
const EXISTS = 1;
const DIRTY = 2;
/** Somebody else has taken the key over. */
const TAKEN = 4;

/** No row. */
export const NO_ROW = -1;

/**
 * What was read for the records at hand, and what became of it since: a row in columns for each key. (Not a Map: once the table of
 * one is old, V8 makes every later one old too, and what hangs on the dead ones stays until the next full collection.)
 */
export class WorkingSet {
  /** Number of a row + 1, at its key's hash or after; 0 is free. A power of two, at most half full. */
  #slots = new Int32Array(LEAST_SLOTS);
  #hashes = new Int32Array(LEAST_SLOTS / 2);
  #timestamps = new Float64Array(LEAST_SLOTS / 2);
  #flags = new Uint8Array(LEAST_SLOTS / 2);
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
      if ((this.#size + 1) * 2 > this.#slots.length) this.#grow();
      row = this.#size++;
      this.#hashes[row] = hash;
      this.#keys[row] = key;
      this.#place(row);
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
    this.#slots.fill(0);
    this.#keys.fill(undefined, 0, this.#size);
    this.#values.fill(undefined, 0, this.#size);
    this.#size = this.#dirty = 0;
  }

  #find(key: string, hash: number): number {
    const mask = this.#slots.length - 1;
    for (let at = hash & mask; ; at = (at + 1) & mask) {
      const row = (this.#slots[at] as number) - 1;
      if (row < 0) return NO_ROW;
      if (this.#hashes[row] === hash && this.#keys[row] === key) return row;
    }
  }

  #place(row: number): void {
    const mask = this.#slots.length - 1;
    let at = (this.#hashes[row] as number) & mask;
    while (this.#slots[at] !== 0) at = (at + 1) & mask;
    this.#slots[at] = row + 1;
  }

  #grow(): void {
    const slots = this.#slots.length * 2;
    this.#hashes = extended(this.#hashes, new Int32Array(slots / 2));
    this.#timestamps = extended(this.#timestamps, new Float64Array(slots / 2));
    this.#flags = extended(this.#flags, new Uint8Array(slots / 2));
    this.#slots = new Int32Array(slots);
    for (let row = 0; row < this.#size; row++) this.#place(row);
  }
}
