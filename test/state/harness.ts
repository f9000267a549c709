import { batchEnd, readInt64, setBaseOffset } from "../../runtime/log/batch-header.ts";
import { decodeBatches } from "../../runtime/log/record-batch.ts";
import { type OpenStoreOptions, openStore } from "../../runtime/state/open-store.ts";
import { RecordCache } from "../../runtime/state/record-cache.ts";
import type { EngineSpec, StoreSpec, TaskStore } from "../../runtime/state/store.ts";

export function spec(overrides: Partial<StoreSpec> = {}): StoreSpec {
  return { name: "counts", engine: { kind: "rocksdb" }, logged: true, cached: true, changelog: {}, schemaVersion: 1, ...overrides };
}

export function options(dir: string, overrides: Partial<OpenStoreOptions> = {}): OpenStoreOptions {
  return {
    dir,
    task: "0_0",
    cache: new RecordCache(1024 * 1024),
    memoryBytes: 2 * 1024 * 1024,
    stateMaxBytes: 1024 * 1024,
    now: Date.now,
    deleteRetentionMs: 24 * 60 * 60 * 1000,
    ...overrides,
  };
}

/** A changelog as a log would keep it: batches, and the position after them. */
export class Changelog {
  readonly batches: { readonly base: number; readonly data: Uint8Array; readonly next: number }[] = [];
  end = 0;

  append(data: Uint8Array, count: number): number {
    let base = this.end;
    const copy = Buffer.from(data);
    for (let at = 0; at < copy.length; at = batchEnd(copy, at)) setBaseOffset(copy, at, base + readInt64(copy, at));
    base += count;
    this.batches.push({ base: this.end, data: copy, next: base });
    this.end = base;
    return base;
  }

  /** Everything a store does not have yet. */
  restore(store: TaskStore<unknown>): number {
    let applied = 0;
    for (const { data, next } of this.batches) {
      const position = store.position()?.offset ?? 0;
      if (next > position) applied += store.restore(decodeBatches(data), next);
    }
    return applied;
  }

  /** Key and timestamp of each record, `key -` for a tombstone. */
  records(): string[] {
    return this.batches.flatMap(({ data }) => {
      const batch = decodeBatches(data);
      return Array.from({ length: batch.length }, (_, i) => {
        const key = batch.buffer.toString("utf8", batch.keyStart[i], batch.keyEnd[i]);
        return `${key}${(batch.valueStart[i] as number) < 0 ? " -" : ""} @${batch.timestamps[i]}`;
      });
    });
  }
}

/** Commits as a task does: flush, log, acknowledge. */
export function commit(store: TaskStore<unknown>, changelog: Changelog): void {
  store.flush();
  const taken = store.takeChangelog();
  store.committed(taken === undefined ? undefined : changelog.append(taken.data, taken.count));
}

export async function open<V>(
  dir: string,
  storeSpec: Partial<StoreSpec> = {},
  overrides: Partial<OpenStoreOptions> = {},
): Promise<TaskStore<V>> {
  return await openStore<V>(spec(storeSpec), options(dir, overrides));
}

export function entries<V>(store: TaskStore<V>): [string, V, number][] {
  return Array.from(store.range(), ([key, { value, timestamp }]) => [key, value, timestamp]);
}

export type { EngineSpec };
