import { keyText } from "../log/record-batch.ts";
import type { TaskStore } from "../state/store.ts";
import type { SourceSpec } from "../topology/topology.ts";
import type { Loaded, TaskInput } from "./input.ts";

/** Records whose states are read at once. */
const RECORDS = 1_024;

/** Decodes the keys of the next records, of no more than `most`, and reads their states together: just before they are needed, so that they are not evicted unread. */
export function readAhead(source: SourceSpec, loaded: Loaded, stores: ReadonlyMap<string, TaskStore>, most: number): void {
  const { batch, index } = loaded;
  const end = Math.min(batch.length, index + Math.min(RECORDS, most));
  const keys = new Array<string | null>(end - index);
  for (let i = index; i < end; i++) keys[i - index] = keyText(batch, i);
  loaded.keys = keys;
  loaded.firstKey = index;
  loaded.prefetched = end;
  const store = source.prefetch === undefined ? undefined : stores.get(source.prefetch);
  if (store === undefined || keys.length < 2) return;
  try {
    store.prefetch(keys.includes(null) ? keys.filter((key) => key !== null) : (keys as string[]));
  } catch {
    // A hint only: whatever is wrong with a state is met again, and dealt with, at the record that needs it.
  }
}

/** Lets go of the states that were read, once all their records have had their turn: async reducers take a few at a time. */
export function releaseRead(inputs: readonly TaskInput[], stores: ReadonlyMap<string, TaskStore>): void {
  for (const { source, queue } of inputs) {
    const loaded = queue[0];
    if (source.prefetch !== undefined && loaded !== undefined && loaded.index < loaded.prefetched) return;
  }
  for (const { source } of inputs) if (source.prefetch !== undefined) stores.get(source.prefetch)?.prefetch([]);
}
