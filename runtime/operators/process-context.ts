import type { EmitOptions, TableView } from "../define/context.ts";
import type { ProcessContext, ProcessStore } from "../define/process.ts";
import type { Headers } from "../log/record-batch.ts";
import type { Stamped, TaskStore } from "../state/store.ts";
import type { VersionedStore } from "../state/windowed/versioned-store.ts";
import type { Cancellable, Codec, PunctuationType, TaskContext, TaskLogger } from "../topology/topology.ts";
import { checkedKey, orNull } from "./stateless.ts";
import type { StreamTarget } from "./targets.ts";

export interface ProcessContextOptions {
  /** Of topics the processor emits to. */
  readonly codec: Codec;
  readonly stores: ReadonlyMap<string, ProcessStore>;
  readonly table: (name: string) => TableView;
}

/** The `ctx` of a processor: one object for the life of the task, pointed at each record in turn. */
export class TaskProcessContext implements ProcessContext {
  /** Of the record under way; undefined in a schedule. */
  key: string | null = null;
  timestamp = 0;
  readonly #context: TaskContext;
  readonly #options: ProcessContextOptions;
  readonly #next: StreamTarget;

  constructor(context: TaskContext, options: ProcessContextOptions, next: StreamTarget) {
    this.#context = context;
    this.#options = options;
    this.#next = next;
  }

  get topic(): string {
    return this.#context.record.topic;
  }

  get partition(): number {
    return this.#context.partition;
  }

  get offset(): number {
    return this.#context.record.offset;
  }

  get headers(): Headers | null {
    return this.#context.record.headers;
  }

  get streamTime(): number {
    return this.#context.streamTime;
  }

  get log(): TaskLogger {
    return this.#context.log;
  }

  store<V>(name: string): ProcessStore<V> {
    const store = this.#options.stores.get(name);
    if (store === undefined) {
      throw new TypeError(
        `ctx.store(${JSON.stringify(name)}): there is no such store; declared are ${[...this.#options.stores.keys()].join(", ") || "none"}`,
      );
    }
    return store as ProcessStore<V>;
  }

  table<V>(name: string): TableView<V> {
    return this.#options.table(name) as TableView<V>;
  }

  forward(value: unknown, options: { readonly key?: string | null; readonly timestamp?: number } = {}): void {
    const key = options.key === undefined ? this.key : checkedKey(options.key, "forward");
    this.#next.process(key, orNull(value), options.timestamp ?? this.timestamp);
  }

  emit(topic: string, value: unknown, options: EmitOptions = {}): void {
    const key = options.key === undefined ? this.key : options.key;
    this.#context.emit(topic, this.#options.codec, key, orNull(value), options.timestamp ?? this.timestamp, options.headers ?? null);
  }

  schedule(interval: number, type: PunctuationType, callback: (now: number) => void): Cancellable {
    return this.#context.schedule(interval, type, (now) => {
      this.key = null;
      this.timestamp = now;
      callback(now);
    });
  }

  wallClock(): number {
    return this.#context.wallClock();
  }
}

/** A processor's store over the task's. */
export function processStore(store: TaskStore, versioned: VersionedStore | undefined, ctx: { readonly timestamp: number }): ProcessStore {
  const getStamped = (key: string): Stamped | undefined => (versioned === undefined ? store.get(key) : versioned.get(key));
  const put = (key: string, value: unknown, timestamp: number): void => {
    if (versioned !== undefined) versioned.put(key, value, timestamp);
    else if (value === null) store.delete(key, timestamp);
    else store.put(key, value, timestamp);
  };
  return {
    get: (key) => getStamped(key)?.value,
    getStamped,
    put: (key, value, timestamp) => put(key, value, timestamp ?? ctx.timestamp),
    delete: (key) => put(key, null, ctx.timestamp),
    range: (from, to, options) =>
      values(versioned === undefined ? store.range(from, to, options) : within(versioned, from, to, options?.reverse ?? false)),
    prefix: (prefix) => values(versioned === undefined ? store.prefix(prefix) : startingWith(versioned, prefix)),
    asOf(key, time) {
      if (versioned === undefined) throw new TypeError(`store "${store.name}" keeps no history: give it one with { history: "1 hour" }`);
      return versioned.asOf(key, time)?.value;
    },
  };
}

function* values(entries: Iterable<[string, Stamped]>): IterableIterator<[string, unknown]> {
  for (const [key, entry] of entries) yield [key, entry.value];
}

function* within(
  store: VersionedStore,
  from: string | undefined,
  to: string | undefined,
  reverse: boolean,
): IterableIterator<[string, Stamped]> {
  const rows = [...store.rows(from, to)];
  yield* reverse ? rows.reverse() : rows;
}

function* startingWith(store: VersionedStore, prefix: string): IterableIterator<[string, Stamped]> {
  for (const row of store.rows(prefix)) {
    if (!row[0].startsWith(prefix)) return;
    yield row;
  }
}
