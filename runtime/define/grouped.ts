import { type AggregateFns, addNode, type GraphNode, type ValueFn } from "./graph.ts";
import { named, type StoreChoice } from "./store-choice.ts";
import { Table } from "./table.ts";
import type { WindowedKey } from "./windowed-key.ts";
import type { SessionWindows, WindowSpec } from "./windows.ts";

/** What an aggregation returns: a state, or null to delete the key's, or undefined to leave it as it is. */
type Next<S> = S | null | undefined;

export interface Aggregation<S, V, K> {
  /** The state of a key that has none. */
  init(): S;
  add(state: S, value: V, key: K): Next<S>;
}

export interface SessionAggregation<S, V, K> extends Aggregation<S, V, K> {
  /** Two sessions that turn out to be one; the earlier first. Starts from a fresh `init()`. */
  merge(earlier: S, later: S, key: K): S;
}

/** Records grouped by key. Those with a null key or null value are dropped, and counted. */
export class GroupedStream<V, K extends string = string> {
  readonly #input: GraphNode;
  readonly #by: ValueFn | undefined;

  constructor(input: GraphNode, by: ValueFn | undefined) {
    this.#input = input;
    this.#by = by;
  }

  windowedBy(window: SessionWindows, options?: WindowingOptions): SessionStream<V>;
  windowedBy(window: WindowSpec, options?: WindowingOptions): WindowedStream<V>;
  windowedBy(window: WindowSpec, options: WindowingOptions = {}): WindowedStream<V> {
    return window.kind === "session"
      ? new SessionStream(this.#input, this.#by, window, options)
      : new WindowedStream(this.#input, this.#by, window, options);
  }

  count(store?: StoreChoice): Table<number, K> {
    return this.#aggregate(countFns(), store);
  }

  /** The first value is the state; each further one is added by `reducer(state, value)`. */
  reduce(reducer: (state: V, value: V, key: K) => Next<V>, store?: StoreChoice): Table<V, K> {
    return this.#aggregate({ init: undefined, add: reducer as AggregateFns["add"], first: "value" }, store);
  }

  aggregate<S>(aggregation: Aggregation<S, V, K>, store?: StoreChoice): Table<NonNullable<S>, K> {
    return this.#aggregate(aggregateFns(aggregation), store);
  }

  #aggregate<S>(fns: AggregateFns, store: StoreChoice | undefined): Table<S, K> {
    const step = {
      op: "aggregate",
      by: this.#by,
      window: undefined,
      emit: "on-update",
      lateTo: undefined,
      ttl: undefined,
      fns,
      store: named(store),
    } as const;
    return new Table(addNode(step, [this.#input]));
  }
}

export interface WindowingOptions {
  /** Default "on-update". */
  readonly emit?: Emit;
  /** Topic for records that come too late for one of their windows. They are counted as dropped in any case. */
  readonly lateTo?: string;
}

/** "on-update": every change comes out. "on-window-close": each window once, when it has closed. */
export type Emit = "on-update" | "on-window-close";

/** Records grouped by key and window. Late ones are dropped from windows that have closed, and counted. */
export class WindowedStream<V> {
  readonly #input: GraphNode;
  readonly #by: ValueFn | undefined;
  readonly #window: WindowSpec;
  readonly #options: WindowingOptions;

  constructor(input: GraphNode, by: ValueFn | undefined, window: WindowSpec, options: WindowingOptions) {
    this.#input = input;
    this.#by = by;
    this.#window = window;
    this.#options = options;
  }

  count(store?: StoreChoice): Table<number, WindowedKey> {
    return this.table(countFns(), store);
  }

  reduce(reducer: (state: V, value: V, key: string) => Next<V>, store?: StoreChoice): Table<V, WindowedKey> {
    const add = reducer as AggregateFns["add"];
    return this.table({ init: undefined, add, merge: (a, b, key) => add(a, b, key), first: "value" }, store);
  }

  aggregate<S>(aggregation: Aggregation<S, V, string>, store?: StoreChoice): Table<NonNullable<S>, WindowedKey> {
    return this.table(aggregateFns(aggregation), store);
  }

  protected table<S>(fns: AggregateFns, store: StoreChoice | undefined): Table<S, WindowedKey> {
    const step = {
      op: "aggregate",
      by: this.#by,
      window: this.#window,
      emit: this.#options.emit ?? "on-update",
      lateTo: this.#options.lateTo,
      ttl: undefined,
      fns,
      store: named(store),
    } as const;
    return new Table(addNode(step, [this.#input]));
  }
}

/** Records grouped by key and session. */
export class SessionStream<V> extends WindowedStream<V> {
  override aggregate<S>(aggregation: SessionAggregation<S, V, string>, store?: StoreChoice): Table<NonNullable<S>, WindowedKey> {
    return this.table({ ...aggregateFns(aggregation), merge: (a, b, key) => aggregation.merge(a as S, b as S, key as string) }, store);
  }
}

export interface TableAggregation<S, V, K> extends Aggregation<S, V, K> {
  /** Takes a row's old value out again. */
  subtract(state: S, value: V, key: K): Next<S>;
}

/** Rows grouped by a key of your choice: an update takes the old row out of its group and puts the new one into its own. */
export class GroupedTable<V> {
  readonly #input: GraphNode;
  readonly #by: ValueFn;
  readonly #value: ValueFn | undefined;

  constructor(input: GraphNode, by: ValueFn, value: ValueFn | undefined) {
    this.#input = input;
    this.#by = by;
    this.#value = value;
  }

  count(store?: StoreChoice): Table<number> {
    return this.#table({ ...countFns(), subtract: (n) => (n as number) - 1 }, store);
  }

  reduce(adder: (state: V, value: V) => Next<V>, subtractor: (state: V, value: V) => Next<V>, store?: StoreChoice): Table<V> {
    return this.#table(
      { init: undefined, add: adder as AggregateFns["add"], subtract: subtractor as AggregateFns["add"], first: "value" },
      store,
    );
  }

  aggregate<S>(aggregation: TableAggregation<S, V, string>, store?: StoreChoice): Table<NonNullable<S>> {
    return this.#table(
      { ...aggregateFns(aggregation), subtract: (state, value, key) => aggregation.subtract(state as S, value as V, key as string) },
      store,
    );
  }

  #table<S>(fns: AggregateFns, store: StoreChoice | undefined): Table<S> {
    return new Table(addNode({ op: "table-aggregate", by: this.#by, value: this.#value, fns, store: named(store) }, [this.#input]));
  }
}

function countFns(): AggregateFns {
  return { init: () => 0, add: (n) => (n as number) + 1, merge: (a, b) => (a as number) + (b as number), first: "init" };
}

function aggregateFns<S, V, K>(aggregation: Aggregation<S, V, K>): AggregateFns {
  return { init: () => aggregation.init(), add: (state, value, key) => aggregation.add(state as S, value as V, key as K), first: "init" };
}
