import { LRUCache } from "lru-cache";
import { fastBuffer } from "../../log/fast-buffer.ts";
import type { RecordBatch } from "../../log/record-batch.ts";
import { compareUtf8 } from "../sorted-keys.ts";
import type { Stamped } from "../store.ts";
import { ForwardingStore } from "./forwarding.ts";
import type { ChangeListener, StoreLayer } from "./layer.ts";

/**
 * The `lru` store: at most `maxEntries`, where getting and putting are uses. An entry that has to go gets a tombstone in
 * the changelog before the record that drives it out, so that a restored store holds the same entries; nothing is emitted
 * for it. Gets are not logged: after a restore entries are as recent as their last put, as in Kafka Streams.
 */
export class BoundedStore<V> extends ForwardingStore<V> {
  /** The keys by use. */
  readonly #recent: LRUCache<string, true>;
  /** While a put drives entries out: its timestamp, which goes on their tombstones. */
  #evicting: number | undefined;
  /** Restored entries beyond a bound that was lowered: the next put drives them out. */
  #over: string[] = [];
  #changed: ChangeListener<V> | undefined;

  constructor(inner: StoreLayer<V>, maxEntries: number) {
    super(inner);
    this.#recent = new LRUCache({
      max: maxEntries,
      dispose: (_, key, reason) => {
        if (reason !== "evict") return;
        if (this.#evicting === undefined) this.#over.push(key);
        else this.inner.delete(key, this.#evicting);
      },
    });
  }

  override get(key: string): Stamped<V> | undefined {
    const found = this.inner.get(key);
    if (found !== undefined) this.#recent.set(key, true);
    return found;
  }

  override put(key: string, value: V, timestamp: number): void {
    if (value === null || value === undefined) {
      this.delete(key, timestamp);
      return;
    }
    this.#evicting = timestamp;
    for (const extra of this.#over.splice(0)) if (!this.#recent.has(extra)) this.inner.delete(extra, timestamp);
    this.#recent.set(key, true);
    this.#evicting = undefined;
    this.inner.put(key, value, timestamp);
    this.#changed?.(key, value, timestamp);
  }

  override delete(key: string, timestamp: number): void {
    this.#recent.delete(key);
    this.inner.delete(key, timestamp);
    this.#changed?.(key, undefined, timestamp);
  }

  override onChange(listener: ChangeListener<V> | undefined): void {
    this.#changed = listener;
  }

  override dropRange(from: string, to: string): void {
    for (const key of [...this.#recent.keys()]) if (compareUtf8(key, from) >= 0 && compareUtf8(key, to) < 0) this.#recent.delete(key);
    this.inner.dropRange(from, to);
  }

  override approximateEntries(): number {
    return this.#recent.size;
  }

  override rollback(): void {
    this.inner.rollback();
    const present = new Set(this.inner.keys());
    const used = [...this.#recent.rkeys()].filter((key) => present.has(key));
    // What was evicted since the last commit is back, as the longest unused.
    const back = [...present].filter((key) => !this.#recent.has(key));
    this.#recent.clear();
    this.#over = [];
    for (const key of [...back, ...used]) this.#recent.set(key, true);
  }

  override restore(batch: RecordBatch, next: number): number {
    const applied = this.inner.restore(batch, next);
    const buffer = fastBuffer(batch.buffer);
    for (let i = 0; i < batch.length; i++) {
      const start = batch.keyStart[i] as number;
      if (start < 0) continue;
      const key = buffer.utf8Slice(start, batch.keyEnd[i] as number);
      if ((batch.valueStart[i] as number) < 0) this.#recent.delete(key);
      else this.#recent.set(key, true);
    }
    return applied;
  }
}
