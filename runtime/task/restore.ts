import { KeyfoldError } from "../errors.ts";
import type { Log } from "../log/log.ts";
import { decodeBatches } from "../log/record-batch.ts";
import type { TaskStore } from "../state/store.ts";

/** Two of these are held for each store that is restored; twice as many bytes cost 40 MiB with two workers and gained nothing. */
const FETCH_BYTES = 2 * 1024 * 1024;
/** The end of a transaction takes an offset: a store that has everything may be so far before it. */
const MARKER = 1;

export interface RestoreListener {
  onRestoreStart(store: string, topic: string, startingOffset: number, endingOffset: number): void;
  onBatchRestored(store: string, topic: string, batchEndOffset: number, records: number): void;
  onRestoreEnd(store: string, topic: string, totalRestored: number): void;
}

export interface RestoreOptions {
  readonly log: Log;
  readonly topic: string;
  readonly partition: number;
  readonly listener: RestoreListener;
  readonly signal: AbortSignal;
  readonly maxBytes?: number;
}

/**
 * Rolls a store forward from its own position to the changelog's end. Done is when the *position* reaches the end offset:
 * the records before it may be markers or compacted away. Returns why, without touching the store, when it cannot be rolled
 * forward: its position is not in the changelog, or it has rows of which nobody knows how old they are. The caller then starts
 * it from nothing.
 */
export async function restoreStore(store: TaskStore, options: RestoreOptions): Promise<string | undefined> {
  const { log, topic, partition, listener, signal, maxBytes = FETCH_BYTES } = options;
  const [range] = await log.offsets([{ topic, partition }]);
  if (range === undefined) throw new KeyfoldError("topic-unknown", `changelog ${topic} has no partition ${partition}`, { remedy: "fatal" });
  const held = store.position();
  const { start, end } = range;
  if (held === undefined) {
    // A changelog that has never had a record is one that was turned on later.
    if (end > 0 && !isEmpty(store)) return `it has rows, but no position in its changelog ${topic}`;
  } else if (held.offset + MARKER < start || held.offset > end) {
    return `its position ${held.offset} is not in its changelog ${topic}, which goes from ${start} to ${end}`;
  }
  let position = Math.max(held?.offset ?? start, start);
  listener.onRestoreStart(store.name, topic, position, end);
  let total = 0;
  const fetch = (from: number) => log.fetch({ topic, partition, position: from, maxBytes, maxWaitMs: 500, signal });
  let pending = position < end ? fetch(position) : undefined;
  while (pending !== undefined) {
    const fetched = await pending;
    if (signal.aborted)
      throw new KeyfoldError("not-ready", `the restore of ${store.name} was given up: its task is taken away`, { remedy: "retry" });
    // The next fetch is under way while this batch is applied.
    pending = fetched.next < end ? fetch(fetched.next) : undefined;
    pending?.catch(() => {});
    if (fetched.next === position) continue;
    const batch = decodeBatches(fetched.data, { from: position });
    total += store.restore(batch, fetched.next);
    position = fetched.next;
    listener.onBatchRestored(store.name, topic, position, batch.length);
  }
  listener.onRestoreEnd(store.name, topic, total);
  return undefined;
}

function isEmpty(store: TaskStore): boolean {
  const rows = store.range();
  try {
    return rows.next().done === true;
  } catch {
    // A row that cannot be read is one.
    return false;
  } finally {
    rows.return?.();
  }
}
