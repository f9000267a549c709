import type { TaskStore } from "../state/store.ts";
import type { SourceSpec } from "../topology/topology.ts";
import type { Loaded } from "./input.ts";

/** Records whose states are read at once. */
const RECORDS = 1_024;

/** Reads the states of the next records together: just before they are needed, so that they are not evicted unread. */
export function readAhead(source: SourceSpec, loaded: Loaded, stores: ReadonlyMap<string, TaskStore>): void {
  const { index, keys } = loaded;
  loaded.prefetched = Math.min(keys.length, index + RECORDS);
  const store = source.prefetch === undefined ? undefined : stores.get(source.prefetch);
  if (store === undefined || loaded.prefetched - index < 2) return;
  const ahead: string[] = [];
  for (let i = index; i < loaded.prefetched; i++) {
    const key = keys[i];
    if (typeof key === "string") ahead.push(key);
  }
  try {
    store.prefetch(ahead);
  } catch {
    // A hint only: whatever is wrong with a state is met again, and dealt with, at the record that needs it.
  }
}
