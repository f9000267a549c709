import { join } from "node:path";
import { ValueCodec } from "./codec.ts";
import { MemoryEngine } from "./engines/memory.ts";
import { RocksEngine } from "./engines/rocksdb.ts";
import type { IteratorRegistry } from "./iterators.ts";
import { CachingStore } from "./layers/caching.ts";
import { ChangeLoggingStore } from "./layers/change-logging.ts";
import type { StoreLayer } from "./layers/layer.ts";
import type { RecordCache } from "./record-cache.ts";
import type { StateStore, StoreSpec, TaskStore } from "./store.ts";

export interface OpenStoreOptions {
  /** The task's directory, `<state.dir>/<application.id>/<task>`; the store's own lies below it. */
  readonly dir: string;
  readonly task: string;
  /** The worker's record cache. With no bytes, the store goes without one. */
  readonly cache: RecordCache;
  /** This store's share of `state.memory.bytes`. */
  readonly memoryBytes: number;
  /** `state.max.bytes`: limit of one encoded value. */
  readonly stateMaxBytes: number;
  /** Wall clock, epoch ms. */
  readonly now: () => number;
  /** The changelog's `delete.retention.ms`: a store left alone for longer is restored from nothing, tombstones being gone. */
  readonly deleteRetentionMs: number;
  /** Counts open iterators of all stores of a worker. */
  readonly iterators?: IteratorRegistry;
  /** Deep-freeze values given out and taken in (dev). */
  readonly freeze?: boolean;
}

/** Opens a store with all its layers. */
export async function openStore<V = unknown>(spec: StoreSpec, options: OpenStoreOptions): Promise<TaskStore<V>> {
  const { task, cache, now } = options;
  const engine = createEngine(spec, options);
  await engine.open({ dir: join(options.dir, "rocksdb", spec.name), store: spec.name, task, memoryBytes: options.memoryBytes });
  const codec = new ValueCodec(spec, { task, maxBytes: options.stateMaxBytes, freeze: options.freeze ?? false });
  let store: StoreLayer<V> = new ChangeLoggingStore<V>(spec, engine, codec, cache, now);
  if (spec.cached && cache.maxBytes > 0 && spec.engine.kind !== "lru") store = new CachingStore(store, cache);
  return store;
}

function createEngine(spec: StoreSpec, { iterators, now }: OpenStoreOptions): StateStore {
  switch (spec.engine.kind) {
    case "rocksdb":
      return new RocksEngine({ now, ...(iterators === undefined ? {} : { iterators }) });
    case "memory":
    case "lru":
      return new MemoryEngine();
    case "custom":
      return spec.engine.create();
  }
}
