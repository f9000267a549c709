import type { Stamped, TaskStore } from "../store.ts";
import { MARKS_KEY } from "./marks.ts";
import { SessionStore } from "./session-store.ts";
import { SlidingWindowStore } from "./sliding-window-store.ts";
import { TimeWindowStore } from "./time-window-store.ts";
import { VersionedStore } from "./versioned-store.ts";

/** An entry of any store, for people: its record key, and the window where it has one. */
export interface ReadEntry {
  readonly key: string;
  readonly start?: number;
  readonly end?: number;
  readonly value: unknown;
  readonly timestamp: number;
}

/** Whether entries are windows of keys. */
export function isWindowed(layout: TaskStore["spec"]["layout"]): boolean {
  return layout?.kind === "time-windows" || layout?.kind === "sliding-windows" || layout?.kind === "sessions";
}

/** Every entry of a store that can be seen, whatever its layout. Unwindowed stores in key order. */
export function* readEntries(store: TaskStore): IterableIterator<ReadEntry> {
  const { layout } = store.spec;
  switch (layout?.kind) {
    case "time-windows":
      yield* windows(new TimeWindowStore(store, layout.sizeMs, layout.retentionMs).rows());
      return;
    case "sliding-windows":
      yield* windows(new SlidingWindowStore(store, layout.diffMs, layout.retentionMs).rows());
      return;
    case "sessions":
      yield* windows(new SessionStore(store, layout.retentionMs).rows());
      return;
    case "versioned":
      for (const [key, entry] of new VersionedStore(store, layout.historyMs).rows()) yield { key, ...entry };
      return;
    default:
      for (const [key, entry] of store.range()) if (layout === undefined || key !== MARKS_KEY) yield { key, ...entry };
  }
}

/** Windows of one key that overlap from..to (epoch ms, both included), by start. */
export function readWindows(store: TaskStore, key: string, from: number, to: number): ReadEntry[] {
  const { layout } = store.spec;
  const found: ReadEntry[] = [];
  const add = (start: number, end: number, entry: Stamped | undefined): void => {
    if (entry !== undefined) found.push({ key, start, end, value: entry.value, timestamp: entry.timestamp });
  };
  if (layout?.kind === "time-windows") {
    const { sizeMs, advanceMs, retentionMs } = layout;
    const windowStore = new TimeWindowStore(store, sizeMs, retentionMs);
    const newest = windowStore.newest();
    const first = Math.max(0, from - sizeMs + 1, newest - retentionMs + 1);
    for (let start = Math.ceil(first / advanceMs) * advanceMs; start <= Math.min(to, newest); start += advanceMs)
      add(start, start + sizeMs, windowStore.get(key, start));
  } else if (layout?.kind === "sliding-windows") {
    const windowStore = new SlidingWindowStore(store, layout.diffMs, layout.retentionMs);
    for (const [start, entry] of windowStore.fetch(key, from - layout.diffMs, to, false, windowStore.entries.newest()))
      add(start, start + layout.diffMs, entry);
  } else if (layout?.kind === "sessions") {
    const sessions = new SessionStore(store, layout.retentionMs);
    for (const { start, end, value } of sessions.find(key, from, to, sessions.entries.newest())) add(start, end, { value, timestamp: end });
  }
  return found;
}

/** Versioned stores: the value as of a time. */
export function readAsOf(store: TaskStore, key: string, time: number): Stamped | undefined {
  const { layout } = store.spec;
  return layout?.kind === "versioned" ? new VersionedStore(store, layout.historyMs).asOf(key, time) : undefined;
}

/** One key's current value in an unwindowed store. */
export function readKey(store: TaskStore, key: string): Stamped | undefined {
  const { layout } = store.spec;
  return layout?.kind === "versioned" ? new VersionedStore(store, layout.historyMs).get(key) : store.get(key);
}

/** What a key of a store (or of its changelog) stands for; undefined for an operator's marks and for history rows. */
export function decodeKey(
  layout: TaskStore["spec"]["layout"],
  at: string,
): { readonly key: string; readonly start?: number; readonly end?: number } | undefined {
  if (layout === undefined) return { key: at };
  if (at === MARKS_KEY) return undefined;
  const time = (from: number): number => Number(at.slice(from, from + 16));
  switch (layout.kind) {
    case "time-windows":
      return { key: at.slice(16), start: time(0), end: time(0) + layout.sizeMs };
    case "sliding-windows":
      return { key: at.slice(16, -17), start: time(at.length - 16), end: time(at.length - 16) + layout.diffMs };
    case "sessions":
      return { key: at.slice(16, -33), start: time(at.length - 16), end: time(at.length - 32) };
    case "versioned":
      return at.startsWith("k") ? { key: at.slice(1) } : undefined;
    case "buffer":
      return { key: at };
  }
}

function* windows(rows: Iterable<[{ key: string; start: number; end: number }, Stamped]>): IterableIterator<ReadEntry> {
  for (const [{ key, start, end }, entry] of rows) yield { key, start, end, value: entry.value, timestamp: entry.timestamp };
}
