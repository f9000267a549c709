import type { RecordBatch } from "../../log/record-batch.ts";
import type { FlushListener, Stamped, StorePosition, StoreSpec } from "../store.ts";
import type { ChangeListener, StoreLayer } from "./layer.ts";

/** A layer that adds nothing: others override what they care about. */
export abstract class ForwardingStore<V> implements StoreLayer<V> {
  protected readonly inner: StoreLayer<V>;

  constructor(inner: StoreLayer<V>) {
    this.inner = inner;
  }

  get spec(): StoreSpec {
    return this.inner.spec;
  }

  get name(): string {
    return this.inner.name;
  }

  get cached(): boolean {
    return this.inner.cached;
  }

  get dirty(): boolean {
    return this.inner.dirty;
  }

  get(key: string): Stamped<V> | undefined {
    return this.inner.get(key);
  }

  put(key: string, value: V, timestamp: number): void {
    this.inner.put(key, value, timestamp);
  }

  delete(key: string, timestamp: number): void {
    this.inner.delete(key, timestamp);
  }

  range(from?: string, to?: string, options?: { reverse?: boolean }): IterableIterator<[string, Stamped<V>]> {
    return this.inner.range(from, to, options);
  }

  prefix(prefix: string): IterableIterator<[string, Stamped<V>]> {
    return this.inner.prefix(prefix);
  }

  dropRange(from: string, to: string): void {
    this.inner.dropRange(from, to);
  }

  approximateEntries(): number {
    return this.inner.approximateEntries();
  }

  keys(): Iterable<string> {
    return this.inner.keys();
  }

  readMany(keys: readonly string[], take: (key: string, entry: Stamped<V> | undefined) => void): void {
    this.inner.readMany(keys, take);
  }

  prefetch(keys: readonly string[]): void {
    this.inner.prefetch(keys);
  }

  onFlush(listener: FlushListener<V>): void {
    this.inner.onFlush(listener);
  }

  onChange(listener: ChangeListener<V> | undefined): void {
    this.inner.onChange(listener);
  }

  flush(): void {
    this.inner.flush();
  }

  takeChangelog(): { readonly data: Uint8Array; readonly count: number } | undefined {
    return this.inner.takeChangelog();
  }

  committed(position: number | undefined): void {
    this.inner.committed(position);
  }

  rollback(): void {
    this.inner.rollback();
  }

  restore(batch: RecordBatch, next: number): number {
    return this.inner.restore(batch, next);
  }

  position(): StorePosition | undefined {
    return this.inner.position();
  }

  close(): Promise<void> {
    return this.inner.close();
  }
}
