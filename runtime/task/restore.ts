import { KeyfoldError } from "../errors.ts";
import type { Log } from "../log/log.ts";
import { decodeBatches } from "../log/record-batch.ts";
import type { TaskStore } from "../state/store.ts";

/** Two of these are held for each store that is restored; twice as many bytes cost 40 MiB with two workers and gained nothing. */
const FETCH_BYTES = 2 * 1024 * 1024;

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

/** Why a store cannot be rolled forward from its own position. */
export type Unusable = { readonly kind: "ahead" | "behind"; readonly position: number; readonly start: number; readonly end: number };

/**
 * Rolls a store forward from its own position to the changelog's end. Done is when the *position* reaches the end offset:
 * the records before it may be markers or compacted away. Returns why, without touching the store, when its position is
 * not in the changelog: the caller then starts it from nothing.
 */
export async function restoreStore(store: TaskStore, options: RestoreOptions): Promise<Unusable | undefined> {
  const { log, topic, partition, listener, signal, maxBytes = FETCH_BYTES } = options;
  const [range] = await log.offsets([{ topic, partition }]);
  if (range === undefined) throw new KeyfoldError("topic-unknown", `changelog ${topic} has no partition ${partition}`, { remedy: "fatal" });
  const held = store.position();
  if (held !== undefined && held.offset > range.end) return { kind: "ahead", position: held.offset, ...range };
  if (held !== undefined && held.offset < range.start) return { kind: "behind", position: held.offset, ...range };
  let position = held?.offset ?? range.start;
  listener.onRestoreStart(store.name, topic, position, range.end);
  let total = 0;
  const fetch = (from: number) => log.fetch({ topic, partition, position: from, maxBytes, maxWaitMs: 500, signal });
  let pending = position < range.end ? fetch(position) : undefined;
  while (pending !== undefined) {
    const fetched = await pending;
    if (signal.aborted)
      throw new KeyfoldError("not-ready", `the restore of ${store.name} was given up: its task is taken away`, { remedy: "retry" });
    // The next fetch is under way while this batch is applied.
    pending = fetched.next < range.end ? fetch(fetched.next) : undefined;
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
