import type { FunctionSettings } from "../config/resolved.ts";
import type { Codec, SourceSpec } from "../topology/topology.ts";
import type { ReducerContext } from "./context.ts";
import type { GraphNode, TtlSpec } from "./graph.ts";
import type { StoreOptions } from "./stores.ts";
import type { WindowSpec } from "./windows.ts";

/**
 * Marks what `defineFunction` returns. A bundle carries its own copy of keyfold, so the host recognises definitions by
 * this symbol and their shape, never by class.
 */
export const DEFINITION: unique symbol = Symbol.for("keyfold.definition") as never;

/** A reducer as the engine sees it: types erased, defaults filled in. */
export interface ReducerDefinition {
  readonly [DEFINITION]: "reducer";
  readonly reduce: (state: unknown, event: unknown, ctx: ReducerContext) => unknown;
  /** Undefined: named in the config. */
  readonly source: readonly string[] | undefined;
  readonly sink: string | undefined;
  readonly sourceCodec: Codec;
  readonly sinkCodec: Codec;
  readonly timestamp: SourceSpec["timestamp"];
  readonly store: StoreOptions;
  readonly schemaVersion: number;
  readonly migrate: Readonly<Record<number, (state: unknown) => unknown>> | undefined;
  /** State of a key that has none; undefined when the reducer has its own default. */
  readonly initial: unknown;
  /** The steps before the reducer, where its source is a stream. */
  readonly stream: GraphNode | undefined;
  readonly window: WindowSpec | undefined;
  readonly emit: "on-update" | "on-window-close";
  readonly lateTo: string | undefined;
  readonly merge: ((earlier: unknown, later: unknown, key: unknown) => unknown) | undefined;
  readonly ttl: TtlSpec | undefined;
  readonly tables: readonly GraphNode[];
  readonly settings: FunctionSettings;
}

/** A function made of steps, or of a processor: its results, from which the graph is found. */
export interface GraphDefinition {
  readonly [DEFINITION]: "graph";
  readonly roots: readonly GraphNode[];
  /** Store that key reads use. */
  readonly query: string | undefined;
  readonly schemaVersion: number;
  readonly settings: FunctionSettings;
}

/** What `defineFunction` gives back: to be exported as default. The types are there for tests and tools. */
export interface FunctionDefinition<Event = unknown, State = unknown> {
  readonly [DEFINITION]: "reducer" | "graph";
  /** Never set: carries the types. */
  readonly types?: { readonly event: Event; readonly state: State };
}
