import type { Codec, SourceSpec, TaskContext } from "../topology/topology.ts";
import type { StreamProcessor } from "./process.ts";
import type { StoreOptions } from "./stores.ts";
import type { WindowSpec } from "./windows.ts";

/**
 * The graph that `stream()`, `table()` and `globalTable()` build: plain data, types erased. A bundle builds it with its own
 * copy of keyfold and the host compiles it with its own, so nothing here may depend on a class.
 */
export const NODE: unique symbol = Symbol.for("keyfold.node") as never;

/** Whatever carries a node: streams, tables, sinks. */
export interface HasNode {
  readonly [NODE]: GraphNode;
}

export type ValueFn = (value: unknown, key: unknown) => unknown;
export type JoinFn = (left: unknown, right: unknown, key: unknown) => unknown;
export type JoinHow = "inner" | "left" | "outer";

export interface AggregateFns {
  /** A fresh initial state; undefined: the first value is handed to `add` with no state. */
  readonly init: (() => unknown) | undefined;
  readonly add: (state: unknown, value: unknown, key: unknown) => unknown;
  /** Undoes `add`: aggregations of grouped tables. */
  readonly subtract?: (state: unknown, value: unknown, key: unknown) => unknown;
  /** Joins two states of sessions that turn out to be one, the earlier first. */
  readonly merge?: (earlier: unknown, later: unknown, key: unknown) => unknown;
  /** "reduce": the first value becomes the state without a call of `add`. */
  readonly first: "init" | "value";
  /** Functions that need the task's context: made anew for each task. */
  readonly bind?: (context: TaskContext) => AggregateFns;
}

/** When a key's state is let go. */
export interface TtlSpec {
  readonly ms: number;
  readonly renewedBy: "read" | "write";
  readonly by: "event-time" | "wall-clock";
  readonly expired: ((state: unknown, key: string) => unknown) | undefined;
}

export type SuppressUntil =
  | { readonly kind: "window-closes"; readonly maxRecords?: number; readonly maxBytes?: number; readonly whenFull: "fail" }
  | {
      readonly kind: "time-limit";
      readonly waitMs: number;
      readonly maxRecords?: number;
      readonly maxBytes?: number;
      readonly whenFull: "emit" | "fail";
    };

interface SourceFields {
  readonly topic: string;
  readonly codec: Codec;
  readonly timestamp: SourceSpec["timestamp"];
}

/** What a step does; `GraphNode` adds where it stands. */
export type Step =
  | ({ readonly op: "stream" } & SourceFields)
  | ({ readonly op: "table"; readonly store: StoreOptions | undefined } & SourceFields)
  | ({ readonly op: "global-table"; readonly store: StoreOptions | undefined } & SourceFields)
  | { readonly op: "filter"; readonly fn: ValueFn; readonly keep: boolean }
  | { readonly op: "map-values"; readonly fn: ValueFn }
  | { readonly op: "map"; readonly fn: ValueFn }
  | { readonly op: "flat-map"; readonly fn: ValueFn }
  | { readonly op: "flat-map-values"; readonly fn: ValueFn }
  | { readonly op: "key-by"; readonly fn: ValueFn }
  | { readonly op: "peek"; readonly fn: ValueFn }
  | { readonly op: "branch"; readonly arms: readonly ValueFn[] }
  | { readonly op: "branch-arm"; readonly index: number; readonly arm: string }
  | { readonly op: "merge" }
  /** Passes records on; what comes after may read the tables among its inputs by name. */
  | { readonly op: "with-tables" }
  | { readonly op: "repartition"; readonly partitions: number | undefined }
  | { readonly op: "through"; readonly topic: string; readonly codec: Codec }
  | {
      readonly op: "process";
      readonly processor: () => StreamProcessor;
      readonly stores: Readonly<Record<string, StoreOptions>>;
      /** Of topics it emits to. */
      readonly codec: Codec;
    }
  | { readonly op: "to"; readonly topic: string; readonly codec: Codec }
  | { readonly op: "to-stream" }
  | { readonly op: "to-table"; readonly store: StoreOptions | undefined }
  | { readonly op: "table-filter"; readonly fn: ValueFn; readonly keep: boolean; readonly store: StoreOptions | undefined }
  | { readonly op: "table-map-values"; readonly fn: ValueFn; readonly store: StoreOptions | undefined }
  | {
      readonly op: "aggregate";
      /** Undefined: grouped by the record's own key. */
      readonly by: ValueFn | undefined;
      readonly window: WindowSpec | undefined;
      readonly emit: "on-update" | "on-window-close";
      /** Topic that gets records late for a window. */
      readonly lateTo: string | undefined;
      readonly ttl: TtlSpec | undefined;
      readonly fns: AggregateFns;
      readonly store: StoreOptions | undefined;
    }
  | {
      readonly op: "table-aggregate";
      readonly by: ValueFn;
      readonly value: ValueFn | undefined;
      readonly fns: AggregateFns;
      readonly store: StoreOptions | undefined;
    }
  | { readonly op: "suppress"; readonly until: SuppressUntil }
  | {
      readonly op: "stream-join";
      readonly how: JoinHow;
      readonly fn: JoinFn;
      readonly beforeMs: number;
      readonly afterMs: number;
      readonly graceMs: number;
    }
  | { readonly op: "stream-table-join"; readonly how: "inner" | "left"; readonly fn: JoinFn; readonly graceMs: number | undefined }
  | { readonly op: "stream-global-join"; readonly how: "inner" | "left"; readonly fn: JoinFn; readonly keyFn: ValueFn }
  | { readonly op: "table-join"; readonly how: JoinHow; readonly fn: JoinFn; readonly store: StoreOptions | undefined }
  | {
      readonly op: "foreign-key-join";
      readonly how: "inner" | "left";
      readonly fn: JoinFn;
      readonly foreignKey: ValueFn;
      readonly store: StoreOptions | undefined;
    };

export type Op = Step["op"];

export interface GraphNode {
  readonly step: Step;
  /** Given by the author; stores and topics of the step are named after it. */
  readonly name: string | undefined;
  readonly inputs: readonly GraphNode[];
  /** Steps that read this one, in the order in which they were declared. */
  readonly children: GraphNode[];
}

/** A step after `inputs`, which learn of it. */
export function addNode(step: Step, inputs: readonly GraphNode[], name?: string): GraphNode {
  const node: GraphNode = { step, name, inputs, children: [] };
  for (const input of new Set(inputs)) input.children.push(node);
  return node;
}
