import { windowedKey } from "../define/windowed-key.ts";
import { compareUtf8 } from "../state/sorted-keys.ts";
import type { Stamped, TaskStore } from "../state/store.ts";
import { decodeKey } from "../state/windowed/read.ts";
import { SessionStore } from "../state/windowed/session-store.ts";
import { SlidingWindowStore } from "../state/windowed/sliding-window-store.ts";
import { TIME_LENGTH, timeKey } from "../state/windowed/time-key.ts";
import { TimeWindowStore } from "../state/windowed/time-window-store.ts";

type Item = [text: string, entry: Stamped];
/** Whether a window can be seen. */
type Liveness = (start: number, end: number) => boolean;

/** Each run costs a read or two of the store; with more of them than this, reading everything is no worse. */
const MAX_RUNS = 1_000;

/**
 * The windows of a store as people see them, in the byte order of their texts `key@start/end`, from a text on. The store has them by time
 * first: windows of one start, or the segments of sliding windows and sessions, are runs in which those of a key lie together, keys in
 * order. So each run is entered where `from` is, and the runs are merged. Undefined: there are too many runs for that.
 */
export function orderedWindows(store: TaskStore, from = ""): Iterable<Item> | undefined {
  const runs = runsOf(store);
  if (runs === undefined) return undefined;
  const isLive = liveness(store);
  return merged(runs.map((run) => new Run(store, run, from, isLive).items()));
}

/** The times that keys of the store begin with. */
function runsOf(store: TaskStore): string[] | undefined {
  const runs: string[] = [];
  for (let at = "0"; ; ) {
    const [first] = firstOf(store.range(at)) ?? [];
    if (first === undefined) return runs;
    if (runs.length === MAX_RUNS) return undefined;
    const run = first.slice(0, TIME_LENGTH);
    runs.push(run);
    at = after(run);
  }
}

/**
 * One run in the order of texts. That is not quite the order of keys: `a1@…` comes before `a@…`. A window is held back while a key to
 * come may come before it, which such a key does only if it goes on from the window's own.
 */
class Run {
  readonly #store: TaskStore;
  readonly #run: string;
  readonly #from: string;
  readonly #isLive: Liveness;
  #held: Item[] = [];

  constructor(store: TaskStore, run: string, from: string, isLive: Liveness) {
    this.#store = store;
    this.#run = run;
    this.#from = from;
    this.#isLive = isLive;
  }

  *items(): IterableIterator<Item> {
    this.#holdKeysBefore();
    let last = "";
    for (const [at, entry] of this.#store.range(this.#run + this.#from, after(this.#run))) {
      const key = keyPart(at);
      if (key !== last) yield* this.#release(key);
      last = key;
      this.#hold(at, entry);
    }
    yield* this.#release(undefined);
  }

  /** Keys that `from` goes on from lie before it, and their windows may come after it: `a` lies before `a1`, `a@0/9` comes after it. */
  #holdKeysBefore(): void {
    const from = this.#from;
    // Only where what it goes on with sorts no higher than the `@`.
    const keys: string[] = [];
    for (let i = 0; i < from.length; i++) if (from.charCodeAt(i) <= 0x40) keys.push(from.slice(0, i));
    for (let i = 0; i < keys.length; ) {
      const key = keys[i] ?? "";
      let next: string | undefined;
      for (const [at, entry] of this.#store.range(this.#run + key, this.#run + from)) {
        const rest = at.slice(TIME_LENGTH);
        if (decodeKey(this.#store.spec.layout, at)?.key === key) this.#hold(at, entry);
        else {
          next ??= rest;
          if (!rest.startsWith(`${key}\0`)) break;
        }
      }
      if (next === undefined) return;
      // Those that would lie before what was found are not there.
      for (i++; i < keys.length; i++) {
        const candidate = keys[i] ?? "";
        if (next.startsWith(candidate) || compareUtf8(candidate, next) >= 0) break;
      }
    }
  }

  #hold(at: string, entry: Stamped): void {
    const { key = "", start = 0, end = 0 } = decodeKey(this.#store.spec.layout, at) ?? {};
    if (!this.#isLive(start, end)) return;
    const text = windowedKey(key, start, end);
    if (compareUtf8(text, this.#from) >= 0) this.#held.push([text, entry]);
  }

  /** Those that come before every text of `key` and the keys behind it; undefined: all. */
  #release(key: string | undefined): Item[] {
    if (this.#held.length === 0) return this.#held;
    const isDue = ([text]: Item): boolean => key === undefined || compareUtf8(text, key) <= 0;
    const due = this.#held.filter(isDue);
    if (due.length > 0) this.#held = this.#held.filter((item) => !isDue(item));
    return due.sort(([a], [b]) => compareUtf8(a, b));
  }
}

/** Where the rows of keys from this one on begin: in a segment a zero and the time follow the key, which may have zeros of its own. */
function keyPart(at: string): string {
  const zero = at.indexOf("\0", TIME_LENGTH);
  return at.slice(TIME_LENGTH, zero === -1 ? undefined : zero);
}

function liveness(store: TaskStore): Liveness {
  const { layout } = store.spec;
  switch (layout?.kind) {
    case "time-windows": {
      const windows = new TimeWindowStore(store, layout.sizeMs, layout.retentionMs);
      return (start) => windows.live(start);
    }
    case "sliding-windows": {
      const { entries } = new SlidingWindowStore(store, layout.diffMs, layout.retentionMs);
      return (start) => entries.live(start);
    }
    case "sessions": {
      const { entries } = new SessionStore(store, layout.retentionMs);
      return (_, end) => entries.live(end);
    }
    default:
      return () => false;
  }
}

/** Merges what is in order; a heap of what comes next of each. */
function* merged(sources: readonly IterableIterator<Item>[]): IterableIterator<Item> {
  const heap: { item: Item; readonly source: IterableIterator<Item> }[] = [];
  const sift = (at: number): void => {
    for (;;) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        const [a, b] = [heap[child], heap[least]];
        if (a !== undefined && b !== undefined && compareUtf8(a.item[0], b.item[0]) < 0) least = child;
      }
      if (least === at) return;
      [heap[at], heap[least]] = [heap[least] as (typeof heap)[0], heap[at] as (typeof heap)[0]];
      at = least;
    }
  };
  try {
    for (const source of sources) {
      const { value, done } = source.next();
      if (done !== true) heap.push({ item: value, source });
    }
    for (let i = heap.length >> 1; i >= 0; i--) sift(i);
    for (let top = heap[0]; top !== undefined; top = heap[0]) {
      yield top.item;
      const { value, done } = top.source.next();
      if (done !== true) top.item = value;
      else {
        const last = heap.pop();
        if (heap.length > 0 && last !== undefined) heap[0] = last;
      }
      sift(0);
    }
  } finally {
    // The reads that are open still.
    for (const source of sources) source.return?.();
  }
}

function firstOf<T>(items: Iterable<T>): T | undefined {
  for (const item of items) return item;
  return undefined;
}

/** Behind every key that begins with this time. */
function after(time: string): string {
  return timeKey(Number(time) + 1);
}
