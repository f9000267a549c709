import type { Stamped, TaskStore } from "../store.ts";

/** See TaskStore.onChange. */
export type ChangeListener<V> = (key: string, value: V | undefined, timestamp: number) => void;

/** What layers offer one another beyond TaskStore. */
export interface StoreLayer<V = unknown> extends TaskStore<V> {
  /**
   * Reads keys, those that are not at hand in one multi-get, and hands each over at least once, in any order, undefined for an absent
   * one. A value that cannot be decoded is left out: the get() that really needs it tells of it.
   */
  readMany(keys: readonly string[], take: (key: string, entry: Stamped<V> | undefined) => void): void;
  /** Keys that are in the engine. */
  keys(): Iterable<string>;
}
