import type { ErrorPolicy, FunctionSettings } from "../config/resolved.ts";
import type { Codec } from "../topology/topology.ts";
import type { ReducerContext } from "./context.ts";
import type { FunctionDefinition } from "./definition.ts";
import { processDefinition, reducerDefinition, topologyDefinition } from "./definitions.ts";
import type { Duration } from "./duration.ts";
import type { HasNode } from "./graph.ts";
import type { ProcessContext, StreamRecord } from "./process.ts";
import type { SourceOptions } from "./sources.ts";
import type { StoreOptions } from "./stores.ts";
import type { Stream } from "./stream.ts";
import type { GlobalTable, Table } from "./table.ts";
import type { WindowSpec } from "./windows.ts";

export type { FunctionDefinition } from "./definition.ts";

/**
 * A per-key reducer. What it returns: a value becomes the key's state; `null` deletes the key everywhere; `undefined`
 * leaves the state as it was. A throw is dealt with by `onError`, and the state is as if the record had never come.
 */
export type Reducer<State, Event> = (
  state: State | undefined,
  event: Event,
  ctx: ReducerContext,
) => Returned<State> | Promise<Returned<State>>;

// biome-ignore lint/suspicious/noConfusingVoidType: a reducer that returns nothing has type void
type Returned<State> = State | null | undefined | void;

/** Error policy and engine settings of one function; the config's win over these. */
export type FunctionTuning = Omit<FunctionSettings, "source" | "sink" | "onError">;

export interface FunctionOptions<Event, State> extends FunctionTuning {
  /** Topic or topics to read, or a stream. */
  readonly source?: string | readonly string[] | Stream<Event>;
  /** Topic that gets every new state, under the record's key; null when the key is deleted. */
  readonly sink?: string;
  /** Codec of source and sink (and `ctx.emit`). Default `json` for both. */
  readonly codec?: Codec | { readonly source?: Codec; readonly sink?: Codec };
  /** Event time of an event, epoch ms. Default: the record's own timestamp. */
  readonly timestamp?: (
    event: Event,
    record: { readonly key: string | null; readonly timestamp: number; readonly topic: string },
  ) => number;
  readonly store?: StoreOptions;
  /** Version of the state's shape. Default 1. */
  readonly schemaVersion?: number;
  /** Steps that bring older states up: `migrate[1]` takes version 1 to version 2. */
  readonly migrate?: Readonly<Record<number, (state: never) => unknown>>;
  /** What a failing record does. Default `dead-letter`. */
  readonly onError?: ErrorPolicy;
  /** State of a key that has none, in place of a default parameter; its type is then the state's. */
  readonly initial?: State;
  /** A state for each key and window. Late records are dropped from windows that have closed, and counted. */
  readonly window?: WindowSpec;
  /** With windows: every change (default), or each window once when it has closed. */
  readonly emit?: "on-update" | "on-window-close";
  /** With windows: topic for records that come too late. */
  readonly lateTo?: string;
  /** With session windows: the state of two sessions that turn out to be one, the earlier first. */
  readonly merge?: (earlier: State, later: State, key: string) => State;
  /** Forgets keys that have been left alone for long. */
  readonly ttl?: TimeToLive<Event, State>;
  /** Tables that `ctx.table(name)` reads, by their topics' (or stores') names. */
  readonly tables?: readonly (Table<unknown> | GlobalTable<unknown>)[];
}

/** When a key expires: its state is deleted, with a tombstone in the changelog and a null to the sink. */
export interface TimeToLive<Event = unknown, State = unknown> {
  /** So long after its state was last written. */
  readonly afterWrite?: Duration;
  /** So long after its last event, whether that changed the state or not. */
  readonly afterRead?: Duration;
  /** By the events' own times (default; the same again on a replay), or by the clock on the wall. */
  readonly by?: "event-time" | "wall-clock";
  /** An event for the reducer when the key expires. A state it returns lives on; null or undefined lets it go. */
  readonly expired?: (state: State, key: string) => Event;
}

/** The low-level form: a processor with named stores. */
export interface ProcessOptions<In, Out> extends FunctionTuning {
  readonly source: string | readonly string[] | Stream<In>;
  /** Topic for what `ctx.forward` hands on. */
  readonly sink?: string;
  readonly codec?: Codec | { readonly source?: Codec; readonly sink?: Codec };
  readonly timestamp?: SourceOptions<In>["timestamp"];
  readonly stores?: Readonly<Record<string, StoreOptions>>;
  /** Tables that `ctx.table(name)` reads. */
  readonly tables?: readonly (Table<unknown> | GlobalTable<unknown>)[];
  readonly onError?: ErrorPolicy;
  /** Once for each task, and again after every restart: the place for `ctx.schedule`. */
  init?(ctx: ProcessContext<Out>): void;
  process(record: StreamRecord<In>, ctx: ProcessContext<Out>): void;
}

/** A function made of steps alone. */
export interface TopologyOptions extends FunctionTuning {
  /** What the function comes to: its sinks, and tables that are kept to be read. */
  readonly topology: HasNode | readonly HasNode[];
  /** Name of the store that key reads use. Default: the only one, where there is only one. */
  readonly query?: string;
  readonly onError?: ErrorPolicy;
}

/** Options with their types erased. */
export type ReducerOptions = FunctionOptions<never, never> & { readonly reduce: (...args: never[]) => unknown };

/**
 * Defines a function: what it reads, how each event changes the state of its key, where results go.
 *
 * @example
 * export default defineFunction<CartEvent, Cart>({
 *   source: "cart-events",
 *   reduce(cart = { skus: [] }, event, ctx) {
 *     if (event.type === "checkout") {
 *       ctx.emit("orders", { user: ctx.key, skus: cart.skus });
 *       return null;
 *     }
 *     return { skus: [...cart.skus, event.sku] };
 *   },
 * });
 * @throws KeyfoldError `function-invalid` for options that cannot be meant.
 */
export function defineFunction<Event, State, _Inferred>(
  options: FunctionOptions<Event, State> & {
    readonly initial: State;
    reduce(state: State, event: Event, ctx: ReducerContext): Returned<State> | Promise<Returned<State>>;
  },
): FunctionDefinition<Event, State>;
// The union with a reducer of no parameters lets TypeScript take the state's type from a default: `(n = 0) => n + 1`.
export function defineFunction<Event, State, _Inferred>(
  options: FunctionOptions<Event, State> & { readonly reduce: (() => Returned<State> | Promise<Returned<State>>) | Reducer<State, Event> },
): FunctionDefinition<Event, State>;
export function defineFunction<Event, State>(
  options: FunctionOptions<Event, State> & {
    reduce(state: State | undefined, event: Event, ctx: ReducerContext): Returned<State> | Promise<Returned<State>>;
  },
): FunctionDefinition<Event, State>;
export function defineFunction<In, Out = unknown>(options: ProcessOptions<In, Out>): FunctionDefinition<In, never>;
export function defineFunction(options: TopologyOptions): FunctionDefinition<never, never>;
export function defineFunction(options: unknown): FunctionDefinition<never, never> {
  if (typeof options === "object" && options !== null) {
    if ("topology" in options) return topologyDefinition(options as TopologyOptions);
    if ("process" in options) return processDefinition(options as ProcessOptions<never, never>);
  }
  return reducerDefinition(options as ReducerOptions);
}
