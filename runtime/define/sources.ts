import type { Codec, SourceSpec } from "../topology/topology.ts";
import { json } from "./codecs.ts";
import { addNode } from "./graph.ts";
import { named, type StoreChoice } from "./store-choice.ts";
import { Stream } from "./stream.ts";
import { GlobalTable, Table } from "./table.ts";

export interface SourceOptions<V> {
  /** Default `json`. */
  readonly codec?: Codec;
  /** Event time of a record, epoch ms. Default: the record's own. */
  readonly timestamp?: (value: V, record: { readonly key: string | null; readonly timestamp: number; readonly topic: string }) => number;
}

export interface TableSourceOptions<V> extends SourceOptions<V> {
  /** Keep the rows in this store. Default: a store named after the topic, where something needs the rows. */
  readonly store?: StoreChoice;
}

/**
 * The records of a topic.
 *
 * @example stream<Click>("clicks").filter((click) => !click.bot)
 */
export function stream<V>(topic: string, options: SourceOptions<V> = {}): Stream<V> {
  return new Stream(addNode({ op: "stream", ...source(topic, options) }, []));
}

/** A topic as a table: the latest value of each key; null deletes it. */
export function table<V>(topic: string, options: TableSourceOptions<V> = {}): Table<V> {
  return new Table(addNode({ op: "table", store: named(options.store), ...source(topic, options) }, []));
}

/** A topic as a table that every task holds whole, whatever its partitions: for small tables that are looked up by any key. */
export function globalTable<V>(topic: string, options: TableSourceOptions<V> = {}): GlobalTable<V> {
  return new GlobalTable(addNode({ op: "global-table", store: named(options.store), ...source(topic, options) }, []));
}

function source<V>(topic: string, options: SourceOptions<V>) {
  return { topic, codec: options.codec ?? json, timestamp: options.timestamp as SourceSpec["timestamp"] };
}
