import type { TopicConfig } from "../log/log.ts";
import type { RecordBatch } from "../log/record-batch.ts";

/**
 * The engine under a store: bytes to bytes, ordered by key bytes. `rocksdb`, `memory` and `lru` are ours; a user's own
 * class may stand in their place (`store: { engine: () => new MyStore() }`). One instance belongs to one task, in one thread.
 */
export interface StateStore {
  /** false: nothing survives close(), the changelog is read from its beginning at every open. */
  readonly persistent: boolean;
  open(context: StoreContext): Promise<void>;
  get(key: Uint8Array): Uint8Array | undefined;
  /** In the order of `keys`; asked with keys sorted by bytes. */
  getMany(keys: readonly Uint8Array[]): (Uint8Array | undefined)[];
  /** All entries with from <= key < to, in byte order; undefined is open. */
  range(
    from: Uint8Array | undefined,
    to: Uint8Array | undefined,
    reverse?: boolean,
  ): IterableIterator<readonly [key: Uint8Array, value: Uint8Array]>;
  /** Applies all writes and the position in one atomic step. Asked with writes sorted by key bytes, one write a key. */
  write(writes: readonly StoreWrite[], position: StorePosition | undefined): void;
  /** Drops all keys with from <= key < to. */
  dropRange(from: Uint8Array, to: Uint8Array): void;
  /** What the last write() recorded, or undefined for an empty or non-persistent store. */
  position(): StorePosition | undefined;
  /** A number of entries, exact or estimated. */
  approximateEntries(): number;
  /** Closing twice is harmless. */
  close(): Promise<void>;
}

/** An engine as the layers use it: ours are handed writes that are made as they are read; a user's own gets them as an array, its to keep. */
export interface Engine extends Omit<StateStore, "write"> {
  write(writes: StoreWrites, position: StorePosition | undefined): void;
}

export interface StoreContext {
  /** Directory of this store alone: `<state.dir>/<application.id>/<task>/rocksdb/<store>`. Not created for the non-persistent. */
  readonly dir: string;
  readonly store: string;
  readonly task: string;
  /** Share of the host's memory budget for this store's block cache and memtables, bytes. */
  readonly memoryBytes: number;
}

/** value undefined: delete. */
export interface StoreWrite {
  readonly key: Uint8Array;
  readonly value: Uint8Array | undefined;
}

/** Writes in the order of their keys' bytes, one a key, read once. The bytes of one are good until the next is asked for. */
export interface StoreWrites extends Iterable<StoreWrite> {
  readonly length: number;
  /** What they take at most; absent where nobody knows. */
  readonly bytes?: number;
}

/** How far into its changelog a store has come. */
export interface StorePosition {
  /** Offset of the next changelog record to apply. */
  readonly offset: number;
  /** Wall-clock ms at which it was written; past `delete.retention.ms` the store is rebuilt, tombstones being gone. */
  readonly at: number;
}

/** A live value with its timestamp (epoch ms; -1 when the store keeps none). Never mutate one. */
export interface Stamped<V = unknown> {
  readonly value: V;
  readonly timestamp: number;
}

/**
 * A store as operators see it: string keys, live values, through all layers
 * (`metered → caching → change-logging → engine`). Keys are ordered by their UTF-8 bytes.
 */
export interface KeyValueStore<V = unknown> {
  readonly name: string;
  get(key: string): Stamped<V> | undefined;
  put(key: string, value: V, timestamp: number): void;
  /** `timestamp` goes on the changelog's tombstone. Logged even when the key is absent. */
  delete(key: string, timestamp: number): void;
  /** Entries with from <= key < to; the view is of the moment of the call and may be read while the store changes. */
  range(from?: string, to?: string, options?: { reverse?: boolean }): IterableIterator<[key: string, entry: Stamped<V>]>;
  prefix(prefix: string): IterableIterator<[key: string, entry: Stamped<V>]>;
  /** Drops all keys with from <= key < to from every layer, without changelog records (expired segments). */
  dropRange(from: string, to: string): void;
  approximateEntries(): number;
}

/** Called for each dirty entry as the cache writes it through: the values after and before; undefined is absent. */
export type FlushListener<V = unknown> = (
  key: string,
  next: Stamped<V> | undefined,
  previous: Stamped<V> | undefined,
  timestamp: number,
) => void;

/** A store as its task sees it: what operators see, and the steps of commit, rollback and restore. */
export interface TaskStore<V = unknown> extends KeyValueStore<V> {
  readonly spec: StoreSpec;
  /** true: updates come out at flush, through the listener; false: the operator forwards them itself, at once. */
  readonly cached: boolean;
  /** Something waits for flush(). Always false when not cached. */
  readonly dirty: boolean;
  onFlush(listener: FlushListener<V>): void;
  /** Called at each put and delete as it happens (value undefined: deleted), for live queries; undefined stops it. */
  onChange(listener: ((key: string, value: V | undefined, timestamp: number) => void) | undefined): void;
  /** Reads those of `keys` that the cache lacks in one multi-get. A hint: without it every read still works. */
  prefetch(keys: readonly string[]): void;
  /** Serializes and logs dirty entries, oldest first, calling the flush listener for each. Throws `state-unstorable` or `state-too-large` naming the key. */
  flush(): void;
  /** Changelog records made since the last call, encoded; undefined when none. */
  takeChangelog(): { readonly data: Uint8Array; readonly count: number } | undefined;
  /** The log has what takeChangelog gave: write it to the engine in one atomic batch. `position`: after those records. */
  committed(position: number | undefined): void;
  /** Forgets everything since the last commit, and the cache. */
  rollback(): void;
  /** Applies changelog records during restore or standby; `next` is the position after the batch. Returns how many applied. */
  restore(batch: RecordBatch, next: number): number;
  position(): StorePosition | undefined;
  close(): Promise<void>;
}

export type EngineSpec =
  | { readonly kind: "rocksdb" }
  | { readonly kind: "memory" }
  | { readonly kind: "lru"; readonly maxEntries: number }
  | { readonly kind: "custom"; readonly create: () => StateStore };

/** What a topology asks for; names and settings only, no live things. */
export interface StoreSpec {
  readonly name: string;
  readonly engine: EngineSpec;
  /** Keep a changelog. Default true. */
  readonly logged: boolean;
  /** Put the record cache in front. Forced off where `cache.max.bytes.buffering` is 0 or the engine is lru. */
  readonly cached: boolean;
  /** Overrides of the changelog topic's config. */
  readonly changelog: TopicConfig;
  /** Schema version written with each value, and the steps that bring older ones up: migrate[n] takes version n to n + 1. */
  readonly schemaVersion: number;
  readonly migrate?: Readonly<Record<number, (state: unknown) => unknown>>;
  /** Windowed stores: the changelog gets `compact,delete` and this retention (plus a day, as Kafka Streams does). */
  readonly retentionMs?: number;
  /**
   * Tell the flush listener also of keys that came and went between two flushes: somebody may have looked them up meanwhile.
   * Default false, as in Kafka Streams.
   */
  readonly tellAll?: boolean;
  /** How keys are laid out, where they are not simply the record keys (see state/windowed). */
  readonly layout?: StoreLayout;
}

/** Layouts of stores whose keys hold more than a record key. `buffer`: what an operator holds back or looks up, not for reading from outside. */
export type StoreLayout =
  | { readonly kind: "time-windows"; readonly sizeMs: number; readonly advanceMs: number; readonly retentionMs: number }
  | { readonly kind: "sliding-windows"; readonly diffMs: number; readonly retentionMs: number }
  | { readonly kind: "sessions"; readonly retentionMs: number }
  | { readonly kind: "versioned"; readonly historyMs: number }
  | { readonly kind: "buffer" };
