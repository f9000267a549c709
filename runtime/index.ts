/** What the author of a function imports. */
export { defineFunction, type FunctionDefinition, type FunctionOptions, type Reducer } from "./define/function.ts";
export type { EmitOptions, ReducerContext, TableView } from "./define/context.ts";
export type { StateEntry, StateView } from "./define/routes.ts";
export { bytes, json, msgpack } from "./define/codecs.ts";
export { lru, memory, rocksdb, type StoreOptions } from "./define/stores.ts";
export type { Duration } from "./define/duration.ts";
export { type ErrorCode, KeyfoldError } from "./errors.ts";
export type { StateStore, StoreContext, StorePosition, StoreWrite } from "./state/store.ts";
export type { Cancellable, Codec, PunctuationType } from "./topology/topology.ts";
