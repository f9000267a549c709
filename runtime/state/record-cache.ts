import { extended } from "./columns.ts";
import { estimateBytes } from "./estimate.ts";
import type { Stamped } from "./store.ts";

/** What the tables, the string's header and the columns take for each cached value, bytes. */
const ENTRY_OVERHEAD = 150;

/** What a worker gathers of serialized writes before it commits, bytes: more would only cost memory. */
const STAGED_BYTES = 2 * 1024 * 1024;

/** No slot. */
export const NONE = -1;

const DIRTY = 1;
/** While dirty: whether the layer below has the key, is known. */
const KNOWN = 2;
/** While dirty: the layer below has the key. */
const EXISTED = 4;
/** While dirty: what it has is kept. */
const KEPT = 8;

/** What an entry takes in the cache, estimated. `value` undefined: the key is known to be absent. */
export function entryBytes(key: string, value: unknown): number {
  return ENTRY_OVERHEAD + key.length + (value === undefined ? 0 : estimateBytes(value));
}

/** A store's place in the cache. */
export interface CacheOwner {
  /** The cache has dropped the clean entry of this slot. */
  evicted(key: string, slot: number): void;
}

/**
 * The hot cache of one worker: live values of all its stores, bounded in bytes (estimated). Only clean entries stand in the LRU
 * list and are evicted, at no cost; dirty ones stay until their task commits, and `wantsCommit` says when it should.
 *
 * An entry is a slot: a row in columns, not an object. Objects that live as long as a cache entry are what V8's collector is
 * slowest with, and it would have one more of them, with four references, for each key.
 */
export class RecordCache {
  readonly maxBytes: number;
  /** Writes that are serialized but not yet in their engines, bytes; kept by the stores. */
  stagedBytes = 0;
  /** Those of them that a commit under way has taken along, bytes. */
  sealedBytes = 0;
  #used = 0;
  #dirty = 0;
  #newest = NONE;
  #oldest = NONE;
  /** First of the slots that are free, linked by `#older`. */
  #free = NONE;
  readonly #owners: (CacheOwner | undefined)[] = [];
  readonly #keys: string[] = [];
  /** Undefined: the key is known to be absent. */
  readonly #values: unknown[] = [];
  /** While dirty, for a store with a listener: what the layer below has. */
  readonly #previous: (Stamped | undefined)[] = [];
  #timestamps = new Float64Array(0);
  #bytes = new Float64Array(0);
  /** Of its store's updates, which one was its last. */
  #turns = new Float64Array(0);
  #newer = new Int32Array(0);
  #older = new Int32Array(0);
  #flags = new Uint8Array(0);

  /** `maxBytes`: this worker's share of `cache.max.bytes.buffering`. 0: stores leave the cache out. */
  constructor(maxBytes: number) {
    this.maxBytes = Math.max(0, maxBytes);
  }

  get usedBytes(): number {
    return this.#used;
  }

  get dirtyBytes(): number {
    return this.#dirty;
  }

  /** True when so much is dirty that little is left for reading: tasks should commit before their interval is over. */
  get wantsCommit(): boolean {
    return this.#dirty > this.maxBytes * 0.75 || this.stagedBytes - this.sealedBytes > STAGED_BYTES;
  }

  /** What waits for a commit, bytes. */
  get heldBytes(): number {
    return this.#dirty + this.stagedBytes;
  }

  /** Bytes that clean entries may take. */
  get room(): number {
    return this.maxBytes - this.#dirty;
  }

  keyOf(slot: number): string {
    return this.#keys[slot] as string;
  }

  /** Undefined: the key is known to be absent. */
  entryOf(slot: number): Stamped | undefined {
    const value = this.#values[slot];
    return value === undefined ? undefined : { value, timestamp: this.#timestamps[slot] as number };
  }

  /** Of the last update, a deletion's too. */
  timestampOf(slot: number): number {
    return this.#timestamps[slot] as number;
  }

  turnOf(slot: number): number {
    return this.#turns[slot] as number;
  }

  isDirty(slot: number, owner: CacheOwner): boolean {
    return ((this.#flags[slot] as number) & DIRTY) !== 0 && this.#owners[slot] === owner;
  }

  /** By how many entries a dirty one changes its store; 0 when it is not known. */
  growthOf(slot: number): number {
    const flags = this.#flags[slot] as number;
    if ((flags & KNOWN) === 0) return 0;
    return (this.#values[slot] === undefined ? 0 : 1) - ((flags & EXISTED) === 0 ? 0 : 1);
  }

  previousOf(slot: number): Stamped | undefined {
    return this.#previous[slot];
  }

  /** What the layer below has for a dirty entry. `keep`: it will be asked for. */
  setPrevious(slot: number, previous: Stamped | undefined, keep: boolean): void {
    this.#flags[slot] = DIRTY | KNOWN | (previous === undefined ? 0 : EXISTED) | (keep ? KEPT : 0);
    if (keep) this.#previous[slot] = previous;
  }

  isPreviousKept(slot: number): boolean {
    return ((this.#flags[slot] as number) & KEPT) !== 0;
  }

  /** Takes in a clean entry as the newest. Does not evict: see `shrink`. */
  add(owner: CacheOwner, key: string, value: unknown, timestamp: number, bytes: number): number {
    const slot = this.#take(owner, key, value, timestamp, bytes);
    this.#link(slot);
    return slot;
  }

  /** A clean entry was read. */
  touch(slot: number): void {
    if (slot === this.#newest || ((this.#flags[slot] as number) & DIRTY) !== 0) return;
    this.#unlink(slot);
    this.#link(slot);
  }

  /** A new entry that is dirty from the start. */
  addDirty(owner: CacheOwner, key: string, value: unknown, timestamp: number, bytes: number, turn: number): number {
    const slot = this.#take(owner, key, value, timestamp, bytes);
    this.#flags[slot] = DIRTY;
    this.#turns[slot] = turn;
    this.#dirty += bytes;
    return slot;
  }

  /** A clean entry turns dirty: what it holds is now what the layer below has. `keep`: it will be asked for. */
  markDirty(slot: number, keep: boolean): void {
    this.#unlink(slot);
    this.#flags[slot] = DIRTY | KNOWN | (this.#values[slot] === undefined ? 0 : EXISTED) | (keep ? KEPT : 0);
    if (keep) this.#previous[slot] = this.entryOf(slot);
    this.#dirty += this.#bytes[slot] as number;
  }

  /** A dirty entry gets its next value. */
  update(slot: number, value: unknown, timestamp: number, bytes: number, turn: number): void {
    const growth = bytes - (this.#bytes[slot] as number);
    this.#used += growth;
    this.#dirty += growth;
    this.#bytes[slot] = bytes;
    this.#values[slot] = value;
    this.#timestamps[slot] = timestamp;
    this.#turns[slot] = turn;
  }

  /** A dirty entry was written through. */
  markClean(slot: number): void {
    this.#flags[slot] = 0;
    if (this.#previous[slot] !== undefined) this.#previous[slot] = undefined;
    this.#dirty -= this.#bytes[slot] as number;
    this.#link(slot);
  }

  /** The owner has dropped the entry. */
  remove(slot: number): void {
    if (((this.#flags[slot] as number) & DIRTY) !== 0) this.#dirty -= this.#bytes[slot] as number;
    else this.#unlink(slot);
    this.#release(slot);
  }

  /** Evicts the longest unread clean entries until the limit holds or none is left. */
  shrink(): void {
    while (this.#used > this.maxBytes && this.#oldest !== NONE) {
      const slot = this.#oldest;
      const owner = this.#owners[slot];
      const key = this.#keys[slot] as string;
      this.#unlink(slot);
      this.#release(slot);
      owner?.evicted(key, slot);
    }
  }

  #take(owner: CacheOwner, key: string, value: unknown, timestamp: number, bytes: number): number {
    if (this.#free === NONE) this.#grow();
    const slot = this.#free;
    this.#free = this.#older[slot] as number;
    this.#owners[slot] = owner;
    this.#keys[slot] = key;
    this.#values[slot] = value;
    this.#timestamps[slot] = timestamp;
    this.#bytes[slot] = bytes;
    this.#flags[slot] = 0;
    this.#used += bytes;
    return slot;
  }

  #release(slot: number): void {
    this.#used -= this.#bytes[slot] as number;
    this.#flags[slot] = 0;
    this.#owners[slot] = undefined;
    this.#keys[slot] = "";
    this.#values[slot] = undefined;
    this.#previous[slot] = undefined;
    this.#older[slot] = this.#free;
    this.#free = slot;
  }

  #grow(): void {
    const before = this.#flags.length;
    const slots = Math.max(256, Math.ceil(before * 1.5));
    this.#timestamps = extended(this.#timestamps, new Float64Array(slots));
    this.#bytes = extended(this.#bytes, new Float64Array(slots));
    this.#turns = extended(this.#turns, new Float64Array(slots));
    this.#newer = extended(this.#newer, new Int32Array(slots));
    this.#older = extended(this.#older, new Int32Array(slots));
    this.#flags = extended(this.#flags, new Uint8Array(slots));
    for (let slot = before; slot < slots; slot++) {
      this.#owners.push(undefined);
      this.#keys.push("");
      this.#values.push(undefined);
      this.#previous.push(undefined);
      this.#older[slot] = slot + 1 < slots ? slot + 1 : NONE;
    }
    this.#free = before;
  }

  #link(slot: number): void {
    this.#older[slot] = this.#newest;
    this.#newer[slot] = NONE;
    if (this.#newest === NONE) this.#oldest = slot;
    else this.#newer[this.#newest] = slot;
    this.#newest = slot;
  }

  #unlink(slot: number): void {
    const newer = this.#newer[slot] as number;
    const older = this.#older[slot] as number;
    if (newer === NONE) this.#newest = older;
    else this.#older[newer] = older;
    if (older === NONE) this.#oldest = newer;
    else this.#newer[older] = newer;
  }
}
