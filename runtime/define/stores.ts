import type { TopicConfig } from "../log/log.ts";
import type { EngineSpec, StateStore } from "../state/store.ts";
import type { Duration } from "./duration.ts";

/** How a step keeps its state. Plain data; every field has a default. */
export interface StoreOptions {
  /** Name of the store and of its changelog topic. Default `state` for a function's own state. */
  readonly name?: string;
  /** Default `rocksdb`. A function returning a `StateStore` puts a class of your own in its place. */
  readonly engine?: EngineSpec | (() => StateStore);
  /** Keep a changelog, so that the state survives the machine. Default true. */
  readonly logged?: boolean;
  /** Put the record cache in front. Default true (never for `lru`). */
  readonly cached?: boolean;
  /** Settings of the changelog topic, by Kafka's names: `{ "segment.ms": "3600000" }`. */
  readonly changelog?: TopicConfig;
  /** Keep older values of a key for so long, for reads as of a time (a versioned store). */
  readonly history?: Duration;
  /** Version of the shape of the values. Default 1. */
  readonly schemaVersion?: number;
  /** Steps that bring older values up: `migrate[1]` takes version 1 to version 2. */
  readonly migrate?: Readonly<Record<number, (state: unknown) => unknown>>;
}

/** State on disk, as large as the disk: the default. */
export function rocksdb(options: Omit<StoreOptions, "engine"> = {}): StoreOptions {
  return { ...options, engine: { kind: "rocksdb" } };
}

/** State in memory alone, read again from its changelog at every start. */
export function memory(options: Omit<StoreOptions, "engine"> = {}): StoreOptions {
  return { ...options, engine: { kind: "memory" } };
}

/** The `maxEntries` most recently used keys of a partition; nothing is emitted when one is evicted. */
export function lru(options: Omit<StoreOptions, "engine" | "cached"> & { readonly maxEntries: number }): StoreOptions {
  const { maxEntries, ...rest } = options;
  return { ...rest, engine: { kind: "lru", maxEntries } };
}
