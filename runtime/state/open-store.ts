import { join } from "node:path";
import { ValueCodec } from "./codec.ts";
import { MemoryEngine } from "./engines/memory.ts";
import { RocksEngine } from "./engines/rocksdb.ts";
import { inspectRocks } from "./format.ts";
import type { IteratorRegistry } from "./iterators.ts";
import { BoundedStore } from "./layers/bounded.ts";
import { CachingStore } from "./layers/caching.ts";
import { ChangeLoggingStore } from "./layers/change-logging.ts";
import { FreezingStore } from "./layers/freezing.ts";
import type { StoreLayer } from "./layers/layer.ts";
import { MeteredStore } from "./layers/metered.ts";
import type { StoreMetrics } from "./metrics.ts";
import { openEngine, type StoreNotice } from "./open-engine.ts";
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
  /** Where the changelog ends now; a store that is there is kept whatever its age. */
  readonly changelogEnd?: number;
  /** Gets counted into; without it nothing is counted. */
  readonly metrics?: StoreMetrics;
  /** Counts open iterators of all stores of a worker. */
  readonly iterators?: IteratorRegistry;
  /** Deep-freeze values given out and taken in (dev). */
  readonly freeze?: boolean;
  /** Size at which a batch of the changelog ends and another begins. Default: the builder's. */
  readonly maxBatchBytes?: number;
  /** Told when a store was set aside as corrupt or emptied for its age. */
  readonly onNotice?: (notice: StoreNotice) => void;
}

/** Of a store's memory, for the rows written last. */
const ROW_SHARE = 1 / 2;

/** Where a store lives inside its task's directory. */
export function storeDirectory(taskDir: string, store: string): string {
  return join(taskDir, "rocksdb", store);
}

/**
 * Opens a store with all its layers: `freezing (dev) → metered → caching | bounded (lru) → change-logging → engine`.
 * Throws `store-locked` (try again) while another process holds it, `format-newer` when a newer keyfold wrote it.
 */
export async function openStore<V = unknown>(spec: StoreSpec, options: OpenStoreOptions): Promise<TaskStore<V>> {
  const { task, cache, now, metrics, freeze = false } = options;
  const engine = await openEngine(
    { dir: storeDirectory(options.dir, spec.name), store: spec.name, task, memoryBytes: options.memoryBytes },
    {
      create: () => createEngine(spec, options),
      ...(spec.engine.kind === "rocksdb" ? { inspect: inspectRocks } : {}),
      now,
      deleteRetentionMs: spec.logged ? options.deleteRetentionMs : undefined,
      ...(options.changelogEnd === undefined ? {} : { changelogEnd: options.changelogEnd }),
      onNotice: options.onNotice ?? (() => undefined),
    },
  );
  const codec = new ValueCodec(spec, { task, maxBytes: options.stateMaxBytes, freeze });
  let store: StoreLayer<V> = new ChangeLoggingStore<V>(spec, engine, codec, cache, now, {
    maxBatchBytes: options.maxBatchBytes,
    rowCacheBytes: spec.engine.kind === "rocksdb" ? Math.floor(options.memoryBytes * ROW_SHARE) : 0,
  });
  // The cache would hide from an lru store which of its entries are in use.
  if (spec.engine.kind === "lru") store = new BoundedStore(store, spec.engine.maxEntries);
  else if (spec.cached && cache.maxBytes > 0) store = new CachingStore(store, cache, metrics);
  if (metrics !== undefined) store = new MeteredStore(store, metrics);
  if (freeze) store = new FreezingStore(store);
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
