import type { ReducerDefinition } from "../define/definition.ts";
import { KeyfoldError } from "../errors.ts";
import type { TaskStore } from "../state/store.ts";
import { RecordFailure } from "../task/failure.ts";
import type { Codec, TaskContext, TaskGraph } from "../topology/topology.ts";
import { type EmitCodecs, emitCodecs, RecordReduceContext } from "./reduce-context.ts";

export interface KeyedReduceOptions {
  /** Name of the store that keeps the state. */
  readonly store: string;
  /** Where every new state goes, tombstones included. */
  readonly sink?: { readonly topic: string; readonly codec: Codec };
  /** Codecs of topics the reducer may emit to; JSON otherwise. */
  readonly codecs?: ReadonlyMap<string, Codec>;
}

type Reduce = ReducerDefinition["reduce"];

/**
 * The operator of a plain reducer: state of the record's key, reducer, state again. Records with a null key or a null
 * value are dropped and counted, as Kafka Streams does in aggregations.
 */
export function keyedReduce(
  definition: Pick<ReducerDefinition, "reduce" | "initial">,
  options: KeyedReduceOptions,
): (context: TaskContext) => TaskGraph {
  const reduce = withInitial(definition);
  const codecs = emitCodecs(options.codecs ?? new Map());
  return (context) => {
    const store = context.store(options.store);
    const { sink } = options;
    if (sink !== undefined && store.cached) {
      store.onFlush((key, next, _previous, timestamp) =>
        context.emit(sink.topic, sink.codec, key, next === undefined ? null : next.value, timestamp),
      );
    }
    const write = new StateWriter(context, store, sink);
    return isAsyncFunction(definition.reduce)
      ? new AsyncReduce(context, store, reduce, codecs, write)
      : new SyncReduce(context, store, reduce, codecs, write);
  };
}

/** Puts a reducer's result, already known to be data, where it belongs. */
class StateWriter {
  readonly #context: TaskContext;
  readonly #store: TaskStore;
  readonly #sink: { readonly topic: string; readonly codec: Codec } | undefined;

  constructor(context: TaskContext, store: TaskStore, sink: { readonly topic: string; readonly codec: Codec } | undefined) {
    this.#context = context;
    this.#store = store;
    this.#sink = store.cached ? undefined : sink;
  }

  /** `before`: timestamp of the entry so far, -1 for none. The new one is never older. */
  write(key: string, next: unknown, timestamp: number, before: number): void {
    if (next === undefined) return;
    const time = Math.max(timestamp, before);
    if (next === null) this.#store.delete(key, time);
    else this.#store.put(key, next, time);
    if (this.#sink !== undefined) this.#context.emit(this.#sink.topic, this.#sink.codec, key, next, time);
  }
}

class SyncReduce implements TaskGraph {
  readonly #context: TaskContext;
  readonly #store: TaskStore;
  readonly #reduce: Reduce;
  readonly #write: StateWriter;
  readonly #ctx: RecordReduceContext;

  constructor(context: TaskContext, store: TaskStore, reduce: Reduce, codecs: EmitCodecs, write: StateWriter) {
    this.#context = context;
    this.#store = store;
    this.#reduce = reduce;
    this.#write = write;
    this.#ctx = new RecordReduceContext(context, codecs);
  }

  process(_topic: string, key: string | null, value: unknown, timestamp: number): void {
    if (key === null || value === null) {
      this.#context.dropped(key === null ? "null-key" : "null-value");
      return;
    }
    const entry = this.#store.get(key);
    const state = entry === undefined ? undefined : entry.value;
    const before = entry === undefined ? -1 : entry.timestamp;
    let next: unknown;
    try {
      next = this.#reduce(state, value, this.#ctx.at(key, timestamp));
      if (typeof next === "object" && next !== null && "then" in next && typeof next.then === "function") throw promised(key);
      if (typeof next === "function" || typeof next === "symbol") throw unstorable(key, next);
    } catch (thrown) {
      throw new RecordFailure(codeOf(thrown), thrown, untouched(state, this.#context));
    }
    this.#write.write(key, next, timestamp, before);
  }
}

/** Events of one key one after another, keys side by side. */
class AsyncReduce implements TaskGraph {
  readonly #context: TaskContext;
  readonly #store: TaskStore;
  readonly #reduce: Reduce;
  readonly #codecs: EmitCodecs;
  readonly #write: StateWriter;
  readonly #tails = new Map<string, Promise<void>>();

  constructor(context: TaskContext, store: TaskStore, reduce: Reduce, codecs: EmitCodecs, write: StateWriter) {
    this.#context = context;
    this.#store = store;
    this.#reduce = reduce;
    this.#codecs = codecs;
    this.#write = write;
  }

  process(_topic: string, key: string | null, value: unknown, timestamp: number): void | Promise<void> {
    if (key === null || value === null) {
      this.#context.dropped(key === null ? "null-key" : "null-value");
      return;
    }
    // The record context moves on while we wait: coordinates are taken now.
    const ctx = new RecordReduceContext(this.#context, this.#codecs, true).at(key, timestamp);
    const { signal } = this.#context;
    const before = this.#tails.get(key);
    const run =
      before === undefined
        ? this.#run(key, value, timestamp, ctx, signal)
        : before.then(() => this.#run(key, value, timestamp, ctx, signal));
    const tail: Promise<void> = run
      .catch(() => {})
      .then(() => {
        if (this.#tails.get(key) === tail) this.#tails.delete(key);
      });
    this.#tails.set(key, tail);
    return run;
  }

  async #run(key: string, value: unknown, timestamp: number, ctx: RecordReduceContext, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const entry = this.#store.get(key);
    const state = entry?.value;
    let next: unknown;
    try {
      next = await this.#reduce(state, value, ctx);
      if (typeof next === "function" || typeof next === "symbol") throw unstorable(key, next);
    } catch (thrown) {
      throw new RecordFailure(codeOf(thrown), thrown, untouched(state, this.#context));
    }
    // The task has gone back to its last commit meanwhile: this record will be processed again.
    if (signal.aborted) return;
    ctx.release();
    this.#write.write(key, next, timestamp, entry?.timestamp ?? -1);
  }
}

/** The reducer, given a fresh copy of `initial` where there is no state. */
function withInitial({ reduce, initial }: Pick<ReducerDefinition, "reduce" | "initial">): Reduce {
  if (initial === undefined) return reduce;
  return (state, event, ctx) => reduce(state === undefined ? structuredClone(initial) : state, event, ctx);
}

function isAsyncFunction(fn: unknown): boolean {
  return typeof fn === "function" && fn.constructor.name === "AsyncFunction";
}

/** A state that cannot have been changed in place: absent, not an object, or frozen by dev mode. */
function untouched(state: unknown, context: TaskContext): boolean {
  return context.frozen || state === undefined || typeof state !== "object";
}

function codeOf(thrown: unknown): "state-unstorable" | "reducer-threw" {
  return thrown instanceof KeyfoldError && thrown.code === "state-unstorable" ? "state-unstorable" : "reducer-threw";
}

function unstorable(key: string, value: unknown): KeyfoldError {
  return new KeyfoldError(
    "state-unstorable",
    `the reducer returned a ${typeof value} for key ${JSON.stringify(key)}; a state is JSON-like data (also Date, Map, Set, bigint, bytes)`,
  );
}

function promised(key: string): KeyfoldError {
  return new KeyfoldError(
    "state-unstorable",
    `the reducer returned a promise for key ${JSON.stringify(key)}; declare it \`async\` so that events of a key stay in order`,
  );
}
