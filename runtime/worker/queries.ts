import { windowedKey } from "../define/windowed-key.ts";
import { KeyfoldError } from "../errors.ts";
import type { GetQuery, ListQuery } from "../host/api.ts";
import { compareUtf8 } from "../state/sorted-keys.ts";
import type { Stamped, TaskStore } from "../state/store.ts";
import { isWindowed, readAsOf, readEntries, readKey, readWindows } from "../state/windowed/read.ts";
import { VersionedStore } from "../state/windowed/versioned-store.ts";
import { stateJson } from "../task/json.ts";
import type { AssignedTask } from "./assigned-task.ts";
import type { Query } from "./messages.ts";
import { orderedWindows } from "./window-order.ts";

/** Entries looked at before other work gets its turn. */
const COUNT_SLICE = 5_000;

/** What one partition has for a page. */
export interface Page {
  /** Keys with their JSON texts. */
  readonly items: readonly (readonly [key: string, json: string])[];
  /** There is more behind the last one. */
  readonly more: boolean;
}

interface Waiting {
  readonly ready: () => boolean;
  readonly go: () => void;
  readonly fail: (error: KeyfoldError) => void;
  /** performance.now() ms */
  readonly deadline: number;
  readonly what: string;
}

/** Reads of this worker's stores for HTTP; what is asked `at-least` a position waits until its task has come so far. */
export class Queries {
  readonly #find: (fn: string, partition: number, store: string) => AssignedTask | undefined;
  readonly #maxWaitMs: number;
  #waiting: Waiting[] = [];

  constructor(find: (fn: string, partition: number, store: string) => AssignedTask | undefined, maxWaitMs: number) {
    this.#find = find;
    this.#maxWaitMs = maxWaitMs;
  }

  /** When somebody must be told that it took too long, performance.now() ms. */
  get deadline(): number {
    return this.#waiting[0]?.deadline ?? Number.POSITIVE_INFINITY;
  }

  async ask(fn: string, partition: number, storeName: string, query: Query): Promise<unknown> {
    if (query.kind === "get" && query.query.atLeast !== undefined)
      await this.#reached(fn, partition, storeName, query.query.atLeast.offset);
    const task = this.#find(fn, partition, storeName);
    if (task === undefined) throw new KeyfoldError("not-ready", `partition ${partition} of ${fn} is not here`, { remedy: "retry" });
    const store = task.store(storeName);
    try {
      switch (query.kind) {
        case "get":
          return getJson(task, store, query.key, query.query);
        case "list":
          return listJson(store, query.query, query.maxBytes ?? Number.POSITIVE_INFINITY);
        case "count":
          return await count(store, query.query);
      }
    } catch (thrown) {
      if (!(thrown instanceof KeyfoldError && thrown.remedy === "corrupt")) throw thrown;
      task.runner?.damaged(thrown);
      throw new KeyfoldError("not-ready", `a store of ${fn} was found corrupt and is restored from its changelog`, {
        remedy: "retry",
        cause: thrown,
      });
    }
  }

  /** Looks again at what waits; called once a turn. */
  retry(): void {
    if (this.#waiting.length === 0) return;
    const now = performance.now();
    const still: Waiting[] = [];
    for (const waiting of this.#waiting) {
      if (waiting.ready()) waiting.go();
      else if (waiting.deadline <= now)
        waiting.fail(
          new KeyfoldError("timeout", `${waiting.what} was not reached within ${this.#maxWaitMs} ms (limits: wait.max.ms)`, {
            remedy: "retry",
          }),
        );
      else still.push(waiting);
    }
    this.#waiting = still;
  }

  #reached(fn: string, partition: number, store: string, offset: number): Promise<void> {
    const ready = (): boolean => {
      const task = this.#find(fn, partition, store);
      return task?.runner !== undefined && task.position > offset;
    };
    if (ready()) return Promise.resolve();
    const deadline = performance.now() + this.#maxWaitMs;
    return new Promise((go, fail) =>
      this.#waiting.push({ ready, go, fail, deadline, what: `offset ${offset} of partition ${partition} of ${fn}` }),
    );
  }
}

function getJson(task: AssignedTask, store: TaskStore, key: string, query: GetQuery): string | undefined {
  const { layout } = store.spec;
  const { from, to, asOf } = query;
  if (isWindowed(layout)) {
    if (asOf !== undefined) throw new KeyfoldError("store-type", `store ${store.name} keeps windows: ask with from and to, not as-of`);
    const windows = readWindows(store, key, from ?? 0, to ?? Number.MAX_SAFE_INTEGER);
    if (windows.length === 0) return undefined;
    const items = windows.map(({ start, end, value }) => `{"start":${start},"end":${end},"value":${stateJson(value)}}`);
    return `{"key":${JSON.stringify(key)},"windows":[${items.join(",")}]}`;
  }
  if (from !== undefined || to !== undefined)
    throw new KeyfoldError("store-type", `store ${store.name} keeps no windows: from and to are for windowed functions`);
  if (asOf !== undefined && layout?.kind !== "versioned") {
    throw new KeyfoldError("store-type", `store ${store.name} keeps no history: give it one, as in store: rocksdb({ history: "1 hour" })`);
  }
  const entry = asOf === undefined ? readKey(store, key) : readAsOf(store, key, asOf);
  if (entry === undefined) return undefined;
  const { partition } = task.assignment;
  return `{"key":${JSON.stringify(key)},"value":${stateJson(entry.value)},"timestamp":${entry.timestamp},"partition":${partition},"offset":${task.position - 1},"lag":${task.lag}}`;
}

function itemJson(key: string, entry: Stamped): string {
  return `{"key":${JSON.stringify(key)},"value":${stateJson(entry.value)},"timestamp":${entry.timestamp}}`;
}

/** In key order after the cursor key, at most `limit` and, but for the first, `maxBytes`. */
function listJson(store: TaskStore, query: ListQuery, maxBytes: number): Page {
  const items: [string, string][] = [];
  let bytes = 0;
  for (const [key, entry] of entries(store, query)) {
    if (query.cursor !== undefined && key === query.cursor) continue;
    if (items.length >= query.limit || bytes >= maxBytes) return { items, more: true };
    const json = itemJson(key, entry);
    items.push([key, json]);
    bytes += json.length;
  }
  return { items, more: false };
}

async function count(store: TaskStore, query: ListQuery): Promise<number> {
  let n = 0;
  const isAll = query.prefix === undefined && query.from === undefined && query.to === undefined;
  // In whatever order it comes.
  for (const _ of isAll ? readEntries(store) : entries(store, query)) {
    n++;
    if (n % COUNT_SLICE === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  return n;
}

function* entries(store: TaskStore, query: ListQuery): IterableIterator<[string, Stamped]> {
  const { prefix } = query;
  const from = later(query.cursor, later(query.from, prefix));
  for (const item of rangeOf(store, from, query.to)) {
    if (prefix !== undefined && !item[0].startsWith(prefix)) {
      // Keys with the prefix lie together: the first one past them ends it.
      return;
    }
    yield item;
  }
}

/** Record keys in order; windows of a key as `key@start/end`. */
function rangeOf(store: TaskStore, from: string | undefined, to: string | undefined): Iterable<[string, Stamped]> {
  const { layout } = store.spec;
  if (layout === undefined) return store.range(from, to);
  if (layout.kind === "versioned") return new VersionedStore(store, layout.historyMs).rows(from, to);
  const ordered = isWindowed(layout) ? orderedWindows(store, from) : undefined;
  return before(ordered ?? sorted(store, from), to);
}

/** Everything there is, in order. */
function sorted(store: TaskStore, from: string | undefined): [string, Stamped][] {
  const found: [string, Stamped][] = [];
  for (const { key, start, end, value, timestamp } of readEntries(store)) {
    const text = start === undefined || end === undefined ? key : windowedKey(key, start, end);
    if (from === undefined || compareUtf8(text, from) >= 0) found.push([text, { value, timestamp }]);
  }
  return found.sort(([a], [b]) => compareUtf8(a, b));
}

function* before(items: Iterable<[string, Stamped]>, to: string | undefined): IterableIterator<[string, Stamped]> {
  for (const item of items) {
    if (to !== undefined && compareUtf8(item[0], to) >= 0) return;
    yield item;
  }
}

/** The later of two keys by UTF-8 bytes; undefined is the beginning. */
function later(a: string | undefined, b: string | undefined): string | undefined {
  if (a === undefined) return b;
  if (b === undefined) return a;
  return Buffer.compare(Buffer.from(a), Buffer.from(b)) >= 0 ? a : b;
}
