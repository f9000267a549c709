import { KeyfoldError } from "../../errors.ts";
import type { RecordBatch } from "../../log/record-batch.ts";
import { estimateBytes } from "../estimate.ts";
import { mergeOver } from "../merge.ts";
import type { StoreMetrics } from "../metrics.ts";
import { CacheEntry, type CacheOwner, ENTRY_OVERHEAD, type RecordCache } from "../record-cache.ts";
import { compareUtf8, distinctUtf8, prefixEnd, SortedKeys } from "../sorted-keys.ts";
import type { FlushListener, Stamped, StorePosition, StoreSpec } from "../store.ts";
import type { ChangeListener, StoreLayer } from "./layer.ts";

/** Share of the cache's room that one prefetch may fill; the rest of it waits in the side map, so that nothing it read is evicted unread. */
const PREFETCH_SHARE = 0.5;

/**
 * The record cache in front of a store: a key updated many times between two commits is serialized, logged and forwarded
 * once, at flush, in the order of each key's last change where someone listens: so no update comes out after one of a
 * record that came later, which those downstream who go by stream time (windows, suppression) would take for lateness.
 */
export class CachingStore<V = unknown> implements StoreLayer<V>, CacheOwner {
  readonly spec: StoreSpec;
  readonly cached = true;
  readonly #inner: StoreLayer<V>;
  readonly #cache: RecordCache;
  readonly #metrics: StoreMetrics | undefined;
  readonly #entries = new Map<string, CacheEntry>();
  /** In the order in which they turned dirty. */
  #dirty: CacheEntry[] = [];
  #turn = 0;
  /** A dirty entry changed again after others had. */
  #shuffled = false;
  readonly #dirtyKeys = new SortedKeys(compareUtf8);
  /** Prefetched, but without room in the cache; lives until the next prefetch. */
  readonly #ahead = new Map<string, Stamped | undefined>();
  #listener: FlushListener<V> | undefined;
  #changed: ChangeListener<V> | undefined;

  constructor(inner: StoreLayer<V>, cache: RecordCache, metrics?: StoreMetrics) {
    this.#metrics = metrics;
    this.spec = inner.spec;
    this.#inner = inner;
    this.#cache = cache;
  }

  get name(): string {
    return this.spec.name;
  }

  get(key: string): Stamped<V> | undefined {
    const entry = this.#entries.get(key);
    if (entry !== undefined) {
      if (!entry.dirty) this.#cache.touch(entry);
      return entry.current as Stamped<V> | undefined;
    }
    if (this.#ahead.size > 0 && this.#ahead.has(key)) return this.#ahead.get(key) as Stamped<V> | undefined;
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
    this.#update(key, { value, timestamp }, timestamp, ENTRY_OVERHEAD + key.length + estimateBytes(value));
  }

  delete(key: string, timestamp: number): void {
    this.#update(key, undefined, timestamp, ENTRY_OVERHEAD + key.length);
  }

  prefetch(keys: readonly string[]): void {
    this.#ahead.clear();
    const missing = distinctUtf8(keys.filter((key) => !this.#entries.has(key)));
    if (missing.length === 0) return;
    if (this.#metrics !== undefined) this.#metrics.prefetched += missing.length;
    let room = this.#cache.room * PREFETCH_SHARE;
    this.#inner.readMany(missing, (key, entry) => {
      const taken = room > 0 ? this.#addClean(key, entry) : 0;
      if (taken === 0) this.#ahead.set(key, entry);
      room -= taken;
    });
    this.#cache.shrink();
  }

  readMany(keys: readonly string[], take: (key: string, entry: Stamped<V> | undefined) => void): void {
    const below: string[] = [];
    for (const key of keys) {
      const entry = this.#entries.get(key);
      if (entry === undefined) below.push(key);
      else take(key, entry.current as Stamped<V> | undefined);
    }
    this.#inner.readMany(below, take);
  }

  keys(): Iterable<string> {
    return this.#inner.keys();
  }

  range(from?: string, to?: string, options: { reverse?: boolean } = {}): IterableIterator<[string, Stamped<V>]> {
    const below = this.#inner.range(from, to, options);
    if (this.#dirty.length === 0) return below;
    const reverse = options.reverse ?? false;
    if (!this.#dirtyKeys.active) this.#dirtyKeys.fill(this.#liveDirtyKeys());
    const over: [string, Stamped<V> | undefined][] = [];
    for (const key of this.#dirtyKeys.range(from, to, reverse)) over.push([key, this.#entries.get(key)?.current as Stamped<V> | undefined]);
    return mergeOver(over, below, reverse ? (a, b) => compareUtf8(b, a) : compareUtf8);
  }

  prefix(prefix: string): IterableIterator<[string, Stamped<V>]> {
    return this.range(prefix, prefixEnd(prefix));
  }

  dropRange(from: string, to: string): void {
    for (const [key, entry] of this.#entries) {
      if (compareUtf8(key, from) < 0 || compareUtf8(key, to) >= 0) continue;
      this.#entries.delete(key);
      this.#cache.remove(entry);
      // Still in the list of dirty entries; flush passes it over.
      entry.dirty = false;
    }
    this.#dirtyKeys.clear();
    this.#ahead.clear();
    this.#inner.dropRange(from, to);
  }

  approximateEntries(): number {
    let change = 0;
    for (const entry of this.#dirty) {
      if (!entry.dirty || !entry.previousKnown) continue;
      change += (entry.current === undefined ? 0 : 1) - (entry.previous === undefined ? 0 : 1);
    }
    return Math.max(0, this.#inner.approximateEntries() + change);
  }

  get dirty(): boolean {
    return this.#dirty.length > 0;
  }

  onChange(listener: ChangeListener<V> | undefined): void {
    this.#changed = listener;
  }

  onFlush(listener: FlushListener<V>): void {
    this.#listener = listener;
  }

  /** Loops until clean: a listener may write to this very store. */
  flush(): void {
    while (this.#dirty.length > 0) {
      const entries = this.#dirty;
      if (this.#shuffled && this.#listener !== undefined) entries.sort((a, b) => a.turn - b.turn);
      this.#shuffled = false;
      this.#readPrevious(entries);
      this.#dirty = [];
      this.#dirtyKeys.clear();
      let done = 0;
      try {
        for (; done < entries.length; done++) this.#flushEntry(entries[done] as CacheEntry);
      } finally {
        // A value that cannot be stored stops here: it and those after it are as dirty as they were.
        if (done < entries.length) this.#dirty = [...entries.slice(done), ...this.#dirty];
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
  }

  rollback(): void {
    this.#forget();
    this.#inner.rollback();
  }

  restore(batch: RecordBatch, next: number): number {
    if (this.#entries.size > 0 || this.#ahead.size > 0) this.#forget();
    return this.#inner.restore(batch, next);
  }

  position(): StorePosition | undefined {
    return this.#inner.position();
  }

  async close(): Promise<void> {
    this.#forget();
    await this.#inner.close();
  }

  evicted(entry: CacheEntry): void {
    this.#entries.delete(entry.key);
  }

  #addClean(key: string, found: Stamped | undefined): number {
    const bytes = ENTRY_OVERHEAD + key.length + (found === undefined ? 0 : estimateBytes(found.value));
    // One that could only push everything else out is not kept.
    if (bytes > this.#cache.room) return 0;
    const entry = new CacheEntry(key, this, found, bytes);
    this.#entries.set(key, entry);
    this.#cache.add(entry);
    return bytes;
  }

  #update(key: string, current: Stamped | undefined, timestamp: number, bytes: number): void {
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      entry = new CacheEntry(key, this, current, bytes);
      if (this.#ahead.size > 0 && this.#ahead.has(key)) {
        entry.previous = this.#ahead.get(key);
        entry.previousKnown = true;
        this.#ahead.delete(key);
      }
      entry.dirty = true;
      this.#entries.set(key, entry);
      this.#cache.addDirty(entry);
      this.#turnedDirty(entry);
    } else {
      if (!entry.dirty) {
        entry.previous = entry.current;
        entry.previousKnown = true;
        this.#cache.markDirty(entry);
        entry.dirty = true;
        this.#turnedDirty(entry);
      } else if (this.#dirty[this.#dirty.length - 1] !== entry) {
        this.#shuffled = true;
      }
      this.#cache.resize(entry, bytes);
      entry.current = current;
    }
    entry.turn = ++this.#turn;
    entry.timestamp = timestamp;
    if (this.#changed !== undefined) this.#changed(key, current?.value as V | undefined, timestamp);
    if (this.#cache.usedBytes > this.#cache.maxBytes) this.#cache.shrink();
  }

  #turnedDirty(entry: CacheEntry): void {
    this.#dirty.push(entry);
    if (this.#dirtyKeys.active) this.#dirtyKeys.add(entry.key);
  }

  #flushEntry(entry: CacheEntry): void {
    if (!entry.dirty) return;
    const { key, current, previous, timestamp } = entry;
    const listener = this.#listener;
    // As in Kafka Streams: what came and went between two commits was never there for anyone downstream.
    const nothing = listener !== undefined && current === undefined && previous === undefined && this.spec.tellAll !== true;
    if (!nothing) {
      if (current === undefined) this.#inner.delete(key, timestamp);
      else this.#inner.put(key, current.value as V, current.timestamp);
    }
    entry.dirty = false;
    this.#cache.markClean(entry);
    entry.previous = undefined;
    entry.previousKnown = false;
    if (listener !== undefined && !nothing) listener(key, current as Stamped<V> | undefined, previous as Stamped<V> | undefined, timestamp);
  }

  /** A listener wants to know what was there before; entries that were put without being read do not know it yet. */
  #readPrevious(entries: readonly CacheEntry[]): void {
    if (this.#listener === undefined) return;
    const unknown = new Map<string, CacheEntry>();
    for (const entry of entries) if (entry.dirty && !entry.previousKnown) unknown.set(entry.key, entry);
    if (unknown.size === 0) return;
    this.#inner.readMany([...unknown.keys()], (key, found) => {
      const entry = unknown.get(key) as CacheEntry;
      entry.previous = found;
      entry.previousKnown = true;
    });
  }

  *#liveDirtyKeys(): Iterable<string> {
    for (const entry of this.#dirty) if (entry.dirty) yield entry.key;
  }

  #forget(): void {
    for (const entry of this.#entries.values()) this.#cache.remove(entry);
    this.#entries.clear();
    this.#dirty = [];
    this.#dirtyKeys.clear();
    this.#ahead.clear();
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
