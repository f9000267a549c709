import type { Stamped } from "./store.ts";

/** The map entry, list links and entry object that come with each cached value, bytes. */
export const ENTRY_OVERHEAD = 200;

/** What a worker without a record cache may hold back of writes the log does not have yet, bytes. */
const STAGED_FLOOR = 16 * 1024 * 1024;

/** A store's place in the cache. */
export interface CacheOwner {
  /** The cache has dropped this clean entry. */
  evicted(entry: CacheEntry): void;
}

/** One key of one store. `current` is replaced at each update, never changed: whoever got it may keep it. */
export class CacheEntry {
  readonly key: string;
  readonly owner: CacheOwner;
  /** Undefined: the key is known to be absent. */
  current: Stamped | undefined;
  /** Of the last update: a deletion has no Stamped to keep it in. */
  timestamp = -1;
  dirty = false;
  /** Of its store's updates, which one was its last. */
  turn = 0;
  /** While dirty: what the layer below has. */
  previous: Stamped | undefined;
  /** While dirty: whether `previous` was ever read. */
  previousKnown = false;
  bytes: number;
  newer: CacheEntry | undefined;
  older: CacheEntry | undefined;

  constructor(key: string, owner: CacheOwner, current: Stamped | undefined, bytes: number) {
    this.key = key;
    this.owner = owner;
    this.current = current;
    this.bytes = bytes;
  }
}

/**
 * The hot cache of one worker: live objects of all its stores, bounded in bytes (estimated). Only clean entries stand in
 * the LRU list and are evicted, at no cost; dirty ones stay until their task commits, and `wantsCommit` says when it should.
 */
export class RecordCache {
  readonly maxBytes: number;
  /** Writes that are serialized but not yet in their engines, bytes; kept by the stores. */
  stagedBytes = 0;
  #used = 0;
  #dirty = 0;
  #newest: CacheEntry | undefined;
  #oldest: CacheEntry | undefined;

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
    return this.#dirty > this.maxBytes * 0.75 || this.stagedBytes > Math.max(this.maxBytes, STAGED_FLOOR);
  }

  /** Bytes that clean entries may take. */
  get room(): number {
    return this.maxBytes - this.#dirty;
  }

  /** Takes in a clean entry as the newest. Does not evict: see `shrink`. */
  add(entry: CacheEntry): void {
    this.#used += entry.bytes;
    this.#link(entry);
  }

  /** A clean entry was read. */
  touch(entry: CacheEntry): void {
    if (entry === this.#newest) return;
    this.#unlink(entry);
    this.#link(entry);
  }

  /** A new entry that is dirty from the start. */
  addDirty(entry: CacheEntry): void {
    this.#used += entry.bytes;
    this.#dirty += entry.bytes;
  }

  /** A clean entry turns dirty. */
  markDirty(entry: CacheEntry): void {
    this.#unlink(entry);
    this.#dirty += entry.bytes;
  }

  /** A dirty entry was written through. */
  markClean(entry: CacheEntry): void {
    this.#dirty -= entry.bytes;
    this.#link(entry);
  }

  /** A dirty entry changed its size. */
  resize(entry: CacheEntry, bytes: number): void {
    const growth = bytes - entry.bytes;
    this.#used += growth;
    this.#dirty += growth;
    entry.bytes = bytes;
  }

  /** The owner has dropped the entry. */
  remove(entry: CacheEntry): void {
    this.#used -= entry.bytes;
    if (entry.dirty) this.#dirty -= entry.bytes;
    else this.#unlink(entry);
  }

  /** Evicts the longest unread clean entries until the limit holds or none is left. */
  shrink(): void {
    while (this.#used > this.maxBytes && this.#oldest !== undefined) {
      const entry = this.#oldest;
      this.#used -= entry.bytes;
      this.#unlink(entry);
      entry.owner.evicted(entry);
    }
  }

  #link(entry: CacheEntry): void {
    entry.older = this.#newest;
    entry.newer = undefined;
    if (this.#newest === undefined) this.#oldest = entry;
    else this.#newest.newer = entry;
    this.#newest = entry;
  }

  #unlink(entry: CacheEntry): void {
    if (entry.newer === undefined) this.#newest = entry.older;
    else entry.newer.older = entry.older;
    if (entry.older === undefined) this.#oldest = entry.newer;
    else entry.older.newer = entry.newer;
    entry.newer = entry.older = undefined;
  }
}
