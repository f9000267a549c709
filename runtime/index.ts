/** What the author of a function imports. */
export { bytes, json, msgpack } from "./define/codecs.ts";
export type { EmitOptions, ReducerContext, TableView } from "./define/context.ts";
export type { Duration } from "./define/duration.ts";
export {
  defineFunction,
  type FunctionDefinition,
  type FunctionOptions,
  type ProcessOptions,
  type Reducer,
  type TimeToLive,
  type TopologyOptions,
} from "./define/function.ts";
export type { ProcessContext, ProcessStore, StreamProcessor, StreamRecord } from "./define/process.ts";
export type { StateEntry, StateView } from "./define/routes.ts";
export { globalTable, stream, table } from "./define/sources.ts";
export { lru, memory, rocksdb, type StoreOptions } from "./define/stores.ts";
export type { Sink, Stream } from "./define/stream.ts";
export type { GlobalTable, Suppress, Table } from "./define/table.ts";
export { type Window, type WindowedKey, windowOf } from "./define/windowed-key.ts";
export { hopping, type JoinWindow, session, sliding, tumbling, type WindowSpec } from "./define/windows.ts";
export { type ErrorCode, KeyfoldError } from "./errors.ts";
export type { StateStore, StoreContext, StorePosition, StoreWrite } from "./state/store.ts";
export type { Cancellable, Codec, PunctuationType } from "./topology/topology.ts";
