import { keyText } from "../log/record-batch.ts";
import type { TaskStore } from "../state/store.ts";
import type { SourceSpec } from "../topology/topology.ts";
import type { Loaded } from "./input.ts";

/** Records whose states are read at once. */
const RECORDS = 1_024;

/** Decodes the keys of the next records and reads their states together: just before they are needed, so that they are not evicted unread. */
export function readAhead(source: SourceSpec, loaded: Loaded, stores: ReadonlyMap<string, TaskStore>): void {
  const { batch, index } = loaded;
  const end = Math.min(batch.length, index + RECORDS);
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
