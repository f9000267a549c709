import { KeyfoldError } from "../../errors.ts";
import type { RecordBatch } from "../../log/record-batch.ts";
import { Doorkeeper } from "../doorkeeper.ts";
import { mergeOver } from "../merge.ts";
import type { StoreMetrics } from "../metrics.ts";
import { type CacheOwner, entryBytes, NONE, type RecordCache } from "../record-cache.ts";
import { SlotIndex } from "../slot-index.ts";
import { compareUtf8, prefixEnd, SortedKeys } from "../sorted-keys.ts";
import type { FlushListener, Stamped, StorePosition, StoreSpec } from "../store.ts";
import { NO_ROW, WorkingSet } from "../working-set.ts";
import type { ChangeListener, StoreLayer } from "./layer.ts";

/** So many keys are read ahead in one turn of a task, about. */
const WORKING_ROWS = 4096;
/** What may wait in the working set, bytes: large values do not wait for the next prefetch. */
const WORKING_BYTES = 1024 * 1024;

/**
 * The record cache in front of a store: a key updated many times between two commits is serialized, logged and forwarded
 * once, at flush, in the order of each key's last change where someone listens: so no update comes out after one of a
 * record that came later, which those downstream who go by stream time (windows, suppression) would take for lateness.
 *
 *   prefetch → working set → the cache, if it has room or the key came by lately
 *                          → the layer below, at once, if not and nobody listens: such a key may be logged again before the commit
 */
export class CachingStore<V = unknown> implements StoreLayer<V>, CacheOwner {
  readonly spec: StoreSpec;
  readonly cached = true;
  readonly #inner: StoreLayer<V>;
  readonly #cache: RecordCache;
  readonly #metrics: StoreMetrics | undefined;
  /** The slots of the keys that are cached. */
  readonly #slots: SlotIndex;
  /** In the order in which they turned dirty. Some may be clean again, or another's. */
  #dirty: number[] = [];
  #turn = 0;
  /** A dirty entry changed again after others had. */
  #shuffled = false;
  readonly #dirtyKeys = new SortedKeys(compareUtf8);
  /** What the last prefetch read, in front of the cache: most keys of a large store come once, and leave again with the next one. */
  readonly #working = new WorkingSet();
  #workingBytes = 0;
  /** Written through before the commit: by how much the layer below counts too many entries. */
  #overcount = 0;
  readonly #door = new Doorkeeper();
  #listener: FlushListener<V> | undefined;
  #changed: ChangeListener<V> | undefined;

  constructor(inner: StoreLayer<V>, cache: RecordCache, metrics?: StoreMetrics) {
    this.#metrics = metrics;
    this.spec = inner.spec;
    this.#inner = inner;
    this.#cache = cache;
    this.#slots = new SlotIndex(cache);
  }

  get name(): string {
    return this.spec.name;
  }

  get(key: string): Stamped<V> | undefined {
    const row = this.#working.find(key);
    if (row !== NO_ROW) return this.#working.entryOf(row) as Stamped<V> | undefined;
    const slot = this.#slots.find(key);
    if (slot !== NONE) {
      this.#cache.touch(slot);
      return this.#cache.entryOf(slot) as Stamped<V> | undefined;
    }
    if (this.#metrics !== undefined) this.#metrics.misses++;
    const found = this.#inner.get(key);
    this.#addClean(key, found);
    this.#cache.shrink();
    return found;
  }

  put(key: string, value: V, timestamp: number): void {
    if (value === null || value === undefined) {
      this.delete(key, timestamp);
      return;
    }
    const type = typeof value;
    if (type === "function" || type === "symbol") throw this.#notData(key, type);
    this.#update(key, value, timestamp, entryBytes(key, value));
  }

  delete(key: string, timestamp: number): void {
    this.#update(key, undefined, timestamp, entryBytes(key, undefined));
  }

  prefetch(keys: readonly string[]): void {
    // What other sources have read for themselves stays for them.
    if (keys.length === 0 || this.#working.size > WORKING_ROWS) this.#release();
    else this.#relieve();
    const missing = keys.filter((key) => this.#slots.find(key) === NONE && this.#working.find(key) === NO_ROW);
    if (missing.length === 0) return;
    if (this.#metrics !== undefined) this.#metrics.prefetched += missing.length;
    this.#inner.readMany(missing, (key, entry) => this.#working.add(key, entry));
  }

  readMany(keys: readonly string[], take: (key: string, entry: Stamped<V> | undefined) => void): void {
    this.#admitWorking();
    const below: string[] = [];
    for (const key of keys) {
      const slot = this.#slots.find(key);
      if (slot === NONE) below.push(key);
      else take(key, this.#cache.entryOf(slot) as Stamped<V> | undefined);
    }
    this.#inner.readMany(below, take);
  }

  keys(): Iterable<string> {
    return this.#inner.keys();
  }

  range(from?: string, to?: string, options: { reverse?: boolean } = {}): IterableIterator<[string, Stamped<V>]> {
    this.#admitWorking();
    const below = this.#inner.range(from, to, options);
    if (this.#dirty.length === 0) return below;
    const reverse = options.reverse ?? false;
    if (!this.#dirtyKeys.active) this.#dirtyKeys.fill(this.#liveDirtyKeys());
    const over: [string, Stamped<V> | undefined][] = [];
    for (const key of this.#dirtyKeys.range(from, to, reverse))
      over.push([key, this.#cache.entryOf(this.#slots.find(key)) as Stamped<V> | undefined]);
    return mergeOver(over, below, reverse ? (a, b) => compareUtf8(b, a) : compareUtf8);
  }

  prefix(prefix: string): IterableIterator<[string, Stamped<V>]> {
    return this.range(prefix, prefixEnd(prefix));
  }

  dropRange(from: string, to: string): void {
    this.#admitWorking();
    for (const slot of this.#slots.all()) {
      const key = this.#cache.keyOf(slot);
      if (compareUtf8(key, from) < 0 || compareUtf8(key, to) >= 0) continue;
      this.#slots.remove(key, slot);
      this.#cache.remove(slot);
    }
    this.#dirty = this.#dirty.filter((slot) => this.#cache.isDirty(slot, this));
    this.#dirtyKeys.clear();
    this.#working.clear();
    this.#inner.dropRange(from, to);
  }

  approximateEntries(): number {
    let change = -this.#overcount;
    for (let row = 0; row < this.#working.size; row++) if (this.#working.isDirty(row)) change += this.#working.growthOf(row);
    for (const slot of this.#dirty) if (this.#cache.isDirty(slot, this)) change += this.#cache.growthOf(slot);
    return Math.max(0, this.#inner.approximateEntries() + change);
  }

  get dirty(): boolean {
    return this.#dirty.length > 0 || this.#working.dirty > 0;
  }

  onChange(listener: ChangeListener<V> | undefined): void {
    this.#changed = listener;
  }

  onFlush(listener: FlushListener<V>): void {
    this.#listener = listener;
  }

  /** Loops until clean: a listener may write to this very store. */
  flush(): void {
    this.#writeWorking();
    while (this.#dirty.length > 0) {
      const slots = this.#dirty;
      if (this.#shuffled && this.#listener !== undefined) slots.sort((a, b) => this.#cache.turnOf(a) - this.#cache.turnOf(b));
      this.#shuffled = false;
      this.#readPrevious(slots);
      this.#dirty = [];
      this.#dirtyKeys.clear();
      let done = 0;
      try {
        for (; done < slots.length; done++) this.#flushEntry(slots[done] as number);
      } finally {
        // A value that cannot be stored stops here: it and those after it are as dirty as they were.
        if (done < slots.length) this.#dirty = [...slots.slice(done), ...this.#dirty];
      }
    }
    this.#inner.flush();
    this.#cache.shrink();
  }

  takeChangelog(): { readonly data: Uint8Array; readonly count: number } | undefined {
    return this.#inner.takeChangelog();
  }

  committed(position: number | undefined): void {
    this.#inner.committed(position);
    this.#overcount = 0;
  }

  rollback(): void {
    this.#forget();
    this.#inner.rollback();
  }

  restore(batch: RecordBatch, next: number): number {
    if (this.#slots.size > 0 || this.#working.size > 0) this.#forget();
    return this.#inner.restore(batch, next);
  }

  position(): StorePosition | undefined {
    return this.#inner.position();
  }

  async close(): Promise<void> {
    this.#forget();
    await this.#inner.close();
  }

  evicted(key: string, slot: number): void {
    this.#slots.remove(key, slot);
  }

  #addClean(key: string, found: Stamped | undefined): number {
    const bytes = entryBytes(key, found?.value);
    // One that could only push everything else out is not kept.
    if (bytes > this.#cache.room) return 0;
    this.#slots.insert(key, this.#cache.add(this, key, found?.value, found?.timestamp ?? -1, bytes));
    return bytes;
  }

  /** `value` undefined: deleted. */
  #update(key: string, value: V | undefined, timestamp: number, bytes: number): void {
    const cache = this.#cache;
    const turn = ++this.#turn;
    const row = this.#working.find(key);
    // Where somebody listens, changes come out in the order of their times: only the cache keeps that.
    if (row !== NO_ROW && this.#listener === undefined) {
      this.#working.update(row, value, timestamp);
      this.#workingBytes += bytes;
      if (this.#changed !== undefined) this.#changed(key, value, timestamp);
      if (this.#workingBytes > WORKING_BYTES) this.#relieve();
      return;
    }
    let slot = this.#slots.find(key);
    if (slot === NONE) {
      slot = cache.addDirty(this, key, value, timestamp, bytes, turn);
      this.#slots.insert(key, slot);
      if (row !== NO_ROW) cache.setPrevious(slot, this.#working.take(row), true);
      this.#turnedDirty(slot, key);
    } else {
      if (!cache.isDirty(slot, this)) {
        cache.markDirty(slot, this.#listener !== undefined);
        this.#turnedDirty(slot, key);
      } else if (this.#dirty[this.#dirty.length - 1] !== slot) {
        this.#shuffled = true;
      }
      cache.update(slot, value, timestamp, bytes, turn);
    }
    if (this.#changed !== undefined) this.#changed(key, value, timestamp);
    if (cache.usedBytes > cache.maxBytes) cache.shrink();
  }

  /** The working set is empty after this. */
  #release(): void {
    const working = this.#working;
    for (let row = 0; row < working.size; row++) if (!working.isTaken(row)) this.#settle(row);
    working.clear();
    this.#workingBytes = 0;
    this.#cache.shrink();
  }

  /** Leaves what was read but not changed. */
  #relieve(): void {
    const working = this.#working;
    for (let row = 0; row < working.size; row++) {
      if (!working.isDirty(row)) continue;
      this.#settle(row);
      working.take(row);
    }
    this.#workingBytes = 0;
    this.#cache.shrink();
  }

  /** What came by lately, or finds room, goes into the cache; anything else that changed is written through now. */
  #settle(row: number): void {
    const working = this.#working;
    const cache = this.#cache;
    const isFull = cache.usedBytes >= cache.maxBytes || cache.usedBytes + this.#bytesOf(row) > cache.maxBytes;
    const admitted = !isFull || this.#door.seen(working.hashOf(row), this.#slots.size);
    if (!working.isDirty(row)) {
      if (admitted) this.#addClean(working.keyOf(row), working.entryOf(row));
    } else if (admitted || !this.#writeEarly(row)) this.#admit(row);
  }

  #bytesOf(row: number): number {
    return entryBytes(this.#working.keyOf(row), this.#working.valueOf(row));
  }

  #admit(row: number): void {
    const working = this.#working;
    const key = working.keyOf(row);
    const slot = this.#cache.addDirty(this, key, working.valueOf(row), working.timestampOf(row), this.#bytesOf(row), ++this.#turn);
    this.#cache.setPrevious(slot, working.exists(row) ? PRESENT : undefined, false);
    this.#slots.insert(key, slot);
    this.#turnedDirty(slot, key);
  }

  /** What changed in the working set goes into the cache. */
  #admitWorking(): void {
    const working = this.#working;
    if (working.dirty === 0) return;
    for (let row = 0; row < working.size; row++) {
      if (!working.isDirty(row)) continue;
      this.#admit(row);
      working.take(row);
    }
    this.#workingBytes = 0;
  }

  /** False: it cannot be stored, which is for the commit to tell. */
  #writeEarly(row: number): boolean {
    try {
      this.#write(row);
      return true;
    } catch {
      return false;
    }
  }

  #write(row: number): void {
    const working = this.#working;
    const value = working.valueOf(row);
    if (value === undefined) this.#inner.delete(working.keyOf(row), working.timestampOf(row));
    else this.#inner.put(working.keyOf(row), value as V, working.timestampOf(row));
    this.#overcount += 1 - working.growthOf(row);
    working.settle(row);
  }

  #writeWorking(): void {
    const working = this.#working;
    if (working.dirty === 0) return;
    for (let row = 0; row < working.size; row++) if (working.isDirty(row)) this.#write(row);
    this.#workingBytes = 0;
  }

  #turnedDirty(slot: number, key: string): void {
    this.#dirty.push(slot);
    if (this.#dirtyKeys.active) this.#dirtyKeys.add(key);
  }

  #flushEntry(slot: number): void {
    const cache = this.#cache;
    if (!cache.isDirty(slot, this)) return;
    const key = cache.keyOf(slot);
    const current = cache.entryOf(slot) as Stamped<V> | undefined;
    const previous = cache.previousOf(slot) as Stamped<V> | undefined;
    const timestamp = cache.timestampOf(slot);
    const listener = this.#listener;
    // As in Kafka Streams: what came and went between two commits was never there for anyone downstream.
    const nothing = listener !== undefined && current === undefined && previous === undefined && this.spec.tellAll !== true;
    if (!nothing) {
      if (current === undefined) this.#inner.delete(key, timestamp);
      else this.#inner.put(key, current.value, current.timestamp);
    }
    cache.markClean(slot);
    if (listener !== undefined && !nothing) listener(key, current, previous, timestamp);
  }

  /** A listener wants to know what was there before; entries that were put without being read do not know it yet. */
  #readPrevious(slots: readonly number[]): void {
    if (this.#listener === undefined) return;
    const unknown = new Map<string, number>();
    for (const slot of slots)
      if (this.#cache.isDirty(slot, this) && !this.#cache.isPreviousKept(slot)) unknown.set(this.#cache.keyOf(slot), slot);
    if (unknown.size === 0) return;
    this.#inner.readMany([...unknown.keys()], (key, found) => this.#cache.setPrevious(unknown.get(key) as number, found, true));
  }

  *#liveDirtyKeys(): Iterable<string> {
    for (const slot of this.#dirty) if (this.#cache.isDirty(slot, this)) yield this.#cache.keyOf(slot);
  }

  #forget(): void {
    for (const slot of this.#slots.all()) this.#cache.remove(slot);
    this.#slots.clear();
    this.#dirty = [];
    this.#dirtyKeys.clear();
    this.#working.clear();
    this.#workingBytes = this.#overcount = 0;
  }

  #notData(key: string, type: string): KeyfoldError {
    return new KeyfoldError(
      "state-unstorable",
      `The state of key ${JSON.stringify(key)} in store "${this.name}" is a ${type}, which cannot be stored.`,
      {
        details: { store: this.name, key },
      },
    );
  }
}

/** Stands for what the layer below has, where nobody will ask for it. */
const PRESENT: Stamped = { value: null, timestamp: -1 };
