import type { RecordBatch } from "../../log/record-batch.ts";
import type { StoreMetrics } from "../metrics.ts";
import type { Stamped } from "../store.ts";
import { ForwardingStore } from "./forwarding.ts";
import type { StoreLayer } from "./layer.ts";

/** Counts what is asked of a store. Counting only, no clocks: a get takes less time than reading one would. */
export class MeteredStore<V> extends ForwardingStore<V> {
  readonly #metrics: StoreMetrics;

  constructor(inner: StoreLayer<V>, metrics: StoreMetrics) {
    super(inner);
    this.#metrics = metrics;
  }

  override get(key: string): Stamped<V> | undefined {
    this.#metrics.gets++;
    return this.inner.get(key);
  }

  override put(key: string, value: V, timestamp: number): void {
    this.#metrics.puts++;
    this.inner.put(key, value, timestamp);
  }

  override delete(key: string, timestamp: number): void {
    this.#metrics.deletes++;
    this.inner.delete(key, timestamp);
  }

  override range(from?: string, to?: string, options?: { reverse?: boolean }): IterableIterator<[string, Stamped<V>]> {
    this.#metrics.ranges++;
    return this.inner.range(from, to, options);
  }

  override prefix(prefix: string): IterableIterator<[string, Stamped<V>]> {
    this.#metrics.ranges++;
    return this.inner.prefix(prefix);
  }

  override flush(): void {
    this.#metrics.flushes++;
    this.inner.flush();
  }

  override takeChangelog(): { readonly data: Uint8Array; readonly count: number } | undefined {
    const taken = this.inner.takeChangelog();
    if (taken !== undefined) {
      this.#metrics.changelogRecords += taken.count;
      this.#metrics.changelogBytes += taken.data.length;
    }
    return taken;
  }

  override committed(position: number | undefined): void {
    this.#metrics.commits++;
    this.inner.committed(position);
  }

  override rollback(): void {
    this.#metrics.rollbacks++;
    this.inner.rollback();
  }

  override restore(batch: RecordBatch, next: number): number {
    const applied = this.inner.restore(batch, next);
    this.#metrics.restoredRecords += applied;
    return applied;
  }
}
