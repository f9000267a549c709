import type { Codec } from "../topology/topology.ts";
import { type Duration, durationMs } from "./duration.ts";
import { addNode, type GraphNode, type HasNode, type JoinFn, type JoinHow, NODE, type SuppressUntil, type ValueFn } from "./graph.ts";
import { GroupedTable } from "./grouped.ts";
import { named, type StoreChoice } from "./store-choice.ts";
import { type Sink, type StepName, Stream, sink } from "./stream.ts";

export interface TableStepOptions extends StepName {
  /** Keep the result in a store of its own, to be read or joined from there. */
  readonly store?: StoreChoice;
}

/** Holds updates back until a table's windows close, or until a time has passed. */
export type Suppress =
  | { readonly until: "window-closes"; readonly maxRecords?: number; readonly maxBytes?: number }
  | {
      readonly until: "time-limit";
      readonly wait: Duration;
      readonly maxRecords?: number;
      readonly maxBytes?: number;
      /** Over a limit: emit the oldest early (default), or fail. */
      readonly whenFull?: "emit" | "fail";
    };

/**
 * A table: the latest row of each key. A null value deletes. Mappers and predicates are not called for deletions.
 * K is `WindowedKey` for the results of windowed aggregations.
 */
export class Table<V, K extends string = string> implements HasNode {
  readonly [NODE]: GraphNode;

  constructor(node: GraphNode) {
    this[NODE] = node;
  }

  filter(predicate: (row: V, key: K) => boolean, options: TableStepOptions = {}): Table<V, K> {
    return new Table(
      addNode({ op: "table-filter", fn: predicate as ValueFn, keep: true, store: named(options.store) }, [this[NODE]], options.name),
    );
  }

  filterNot(predicate: (row: V, key: K) => boolean, options: TableStepOptions = {}): Table<V, K> {
    return new Table(
      addNode({ op: "table-filter", fn: predicate as ValueFn, keep: false, store: named(options.store) }, [this[NODE]], options.name),
    );
  }

  mapValues<W>(mapper: (row: V, key: K) => W, options: TableStepOptions = {}): Table<NonNullable<W>, K> {
    return new Table(addNode({ op: "table-map-values", fn: mapper as ValueFn, store: named(options.store) }, [this[NODE]], options.name));
  }

  /** Its updates as a stream, deletions as null. */
  toStream(): Stream<V | null, K> {
    return new Stream(addNode({ op: "to-stream" }, [this[NODE]]));
  }

  /** Writes its updates to a topic; a windowed key is written as `key@start/end`. */
  to(topic: string, options: { readonly codec?: Codec } = {}): Sink {
    return sink(topic, options.codec, this[NODE]);
  }

  /** Groups rows by another key, through a repartition topic; rows whose key or mapped value is null belong to no group. */
  groupBy(selector: (row: V, key: K) => string | null): GroupedTable<V>;
  groupBy<W>(selector: (row: V, key: K) => string | null, value: (row: V, key: K) => W): GroupedTable<NonNullable<W>>;
  groupBy(selector: unknown, value?: unknown): GroupedTable<never> {
    return new GroupedTable(this[NODE], selector as ValueFn, value as ValueFn | undefined);
  }

  suppress(suppress: Suppress, options: StepName = {}): Table<V, K> {
    return new Table(addNode({ op: "suppress", until: suppressUntil(suppress) }, [this[NODE]], options.name));
  }

  join<W, R>(other: Table<W, K>, joiner: (left: V, right: W) => R, options: TableStepOptions = {}): Table<NonNullable<R>, K> {
    return this.#join("inner", other, joiner as JoinFn, options);
  }

  leftJoin<W, R>(other: Table<W, K>, joiner: (left: V, right: W | null) => R, options: TableStepOptions = {}): Table<NonNullable<R>, K> {
    return this.#join("left", other, joiner as JoinFn, options);
  }

  outerJoin<W, R>(
    other: Table<W, K>,
    joiner: (left: V | null, right: W | null) => R,
    options: TableStepOptions = {},
  ): Table<NonNullable<R>, K> {
    return this.#join("outer", other, joiner as JoinFn, options);
  }

  /** Joins each row with the row of another table that it points to: many to one. */
  joinBy<W, R>(
    other: Table<W>,
    foreignKey: (row: V) => string | null,
    joiner: (left: V, right: W) => R,
    options: TableStepOptions = {},
  ): Table<NonNullable<R>, K> {
    return this.#foreign("inner", other, foreignKey as ValueFn, joiner as JoinFn, options);
  }

  leftJoinBy<W, R>(
    other: Table<W>,
    foreignKey: (row: V) => string | null,
    joiner: (left: V, right: W | null) => R,
    options: TableStepOptions = {},
  ): Table<NonNullable<R>, K> {
    return this.#foreign("left", other, foreignKey as ValueFn, joiner as JoinFn, options);
  }

  #join<R>(how: JoinHow, other: HasNode, fn: JoinFn, options: TableStepOptions): Table<R, K> {
    return new Table(addNode({ op: "table-join", how, fn, store: named(options.store) }, [this[NODE], other[NODE]], options.name));
  }

  #foreign<R>(how: "inner" | "left", other: HasNode, foreignKey: ValueFn, fn: JoinFn, options: TableStepOptions): Table<R, K> {
    return new Table(
      addNode({ op: "foreign-key-join", how, fn, foreignKey, store: named(options.store) }, [this[NODE], other[NODE]], options.name),
    );
  }
}

/** A table that every task holds whole, so that any key can be looked up. */
export class GlobalTable<V> implements HasNode {
  readonly [NODE]: GraphNode;
  /** Never set: carries the type. */
  declare readonly row?: V;

  constructor(node: GraphNode) {
    this[NODE] = node;
  }
}

function suppressUntil(suppress: Suppress): SuppressUntil {
  const limits = {
    ...(suppress.maxRecords === undefined ? {} : { maxRecords: suppress.maxRecords }),
    ...(suppress.maxBytes === undefined ? {} : { maxBytes: suppress.maxBytes }),
  };
  if (suppress.until === "window-closes") return { kind: "window-closes", whenFull: "fail", ...limits };
  return { kind: "time-limit", waitMs: durationMs(suppress.wait, "suppress: wait"), whenFull: suppress.whenFull ?? "emit", ...limits };
}
