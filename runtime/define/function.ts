import type { ErrorPolicy, FunctionSettings } from "../config/resolved.ts";
import { KeyfoldError } from "../errors.ts";
import type { Codec, SourceSpec } from "../topology/topology.ts";
import { json } from "./codecs.ts";
import type { ReducerContext } from "./context.ts";
import type { StoreOptions } from "./stores.ts";

export type { EmitOptions, ReducerContext, TableView } from "./context.ts";

/**
 * Marks what `defineFunction` returns. A bundle carries its own copy of keyfold, so the host recognises definitions by
 * this symbol and their shape, never by class.
 */
export const DEFINITION: unique symbol = Symbol.for("keyfold.definition") as never;

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
  /** Topic or topics to read. */
  readonly source?: string | readonly string[];
  /** Topic that gets every new state, under the record's key; null when the key is deleted. */
  readonly sink?: string;
  /** Codec of source and sink (and `ctx.emit`). Default `json` for both. */
  readonly codec?: Codec | { readonly source?: Codec; readonly sink?: Codec };
  /** Event time of an event, epoch ms. Default: the record's own timestamp. */
  readonly timestamp?: (event: Event, record: { readonly key: string | null; readonly timestamp: number; readonly topic: string }) => number;
  readonly store?: StoreOptions;
  /** Version of the state's shape. Default 1. */
  readonly schemaVersion?: number;
  /** Steps that bring older states up: `migrate[1]` takes version 1 to version 2. */
  readonly migrate?: Readonly<Record<number, (state: never) => unknown>>;
  /** What a failing record does. Default `dead-letter`. */
  readonly onError?: ErrorPolicy;
  /** State of a key that has none, in place of a default parameter; its type is then the state's. */
  readonly initial?: State;
}

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
  /** Undefined when the reducer has its own default. */
  readonly initial: unknown;
  readonly settings: FunctionSettings;
}

/** Options with their types erased. */
export type ReducerOptions = FunctionOptions<never, never> & { readonly reduce: (...args: never[]) => unknown };

/** What `defineFunction` gives back: to be exported as default. The types are there for tests and tools. */
export interface FunctionDefinition<Event = unknown, State = unknown> {
  readonly [DEFINITION]: "reducer" | "graph";
  /** Never set: carries the types. */
  readonly types?: { readonly event: Event; readonly state: State };
}

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
export function defineFunction(options: unknown): FunctionDefinition<never, never> {
  return reducerDefinition(options as ReducerOptions);
}

/** A definition from options, or from a bare reducer; checked as far as can be without running it. */
export function reducerDefinition(options: ReducerOptions): ReducerDefinition {
  const { source, sink, codec, timestamp, store, schemaVersion, migrate, initial, reduce, ...settings } = options;
  if (typeof reduce !== "function") {
    throw new KeyfoldError("function-invalid", `defineFunction: reduce must be a function (state, event, ctx) => state, not ${typeof reduce}`);
  }
  const sources = source === undefined ? undefined : typeof source === "string" ? [source] : [...source];
  const version = schemaVersion ?? 1;
  if (!Number.isSafeInteger(version) || version < 1) {
    throw new KeyfoldError("function-invalid", `defineFunction: schemaVersion must be a whole number from 1, not ${JSON.stringify(schemaVersion)}`);
  }
  for (let from = 1; migrate !== undefined && from < version; from++) {
    if (typeof migrate[from] !== "function" && Object.keys(migrate).some((step) => Number(step) < from)) {
      throw new KeyfoldError("function-invalid", `defineFunction: migrate[${from}] is missing, so states of version ${from} cannot become version ${version}`);
    }
  }
  const one = isCodec(codec) ? codec : undefined;
  const each = codec === undefined || isCodec(codec) ? {} : codec;
  return {
    [DEFINITION]: "reducer",
    reduce: reduce as ReducerDefinition["reduce"],
    source: sources,
    sink,
    sourceCodec: each.source ?? one ?? json,
    sinkCodec: each.sink ?? one ?? json,
    timestamp: timestamp as SourceSpec["timestamp"],
    store: store ?? {},
    schemaVersion: version,
    migrate: migrate as ReducerDefinition["migrate"],
    initial,
    settings: { ...settings, ...(sources === undefined ? {} : { source: sources }), ...(sink === undefined ? {} : { sink }) },
  };
}

function isCodec(value: unknown): value is Codec {
  return typeof value === "object" && value !== null && "decode" in value && typeof value.decode === "function";
}
