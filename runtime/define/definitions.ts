import type { FunctionSettings } from "../config/resolved.ts";
import { KeyfoldError } from "../errors.ts";
import type { Codec, SourceSpec } from "../topology/topology.ts";
import { json } from "./codecs.ts";
import { DEFINITION, type GraphDefinition, type ReducerDefinition } from "./definition.ts";
import { durationMs } from "./duration.ts";
import type { FunctionTuning, ProcessOptions, ReducerOptions, TimeToLive, TopologyOptions } from "./function.ts";
import { addNode, type GraphNode, type HasNode, NODE, type TtlSpec } from "./graph.ts";

/** Settings that a function's options may have, which the config has too. */
const SETTINGS: Readonly<Record<keyof (FunctionTuning & Pick<FunctionSettings, "onError">), true>> = {
  onError: true,
  retries: true,
  "retry.backoff.ms": true,
  "errors.dead.letter.queue.topic.name": true,
  "max.in.flight.keys": true,
  "commit.interval.ms": true,
  "processing.guarantee": true,
  "auto.offset.reset": true,
};

const REDUCER_OPTIONS: readonly (keyof ReducerOptions)[] = [
  "source",
  "sink",
  "reduce",
  "initial",
  "window",
  "emit",
  "lateTo",
  "merge",
  "store",
  "ttl",
  "tables",
  "codec",
  "timestamp",
  "schemaVersion",
  "migrate",
];

/** A definition from options, or from a bare reducer; checked as far as can be without running it. */
export function reducerDefinition(options: ReducerOptions): ReducerDefinition {
  const {
    source,
    sink,
    codec,
    timestamp,
    store,
    schemaVersion,
    migrate,
    initial,
    reduce,
    window,
    emit,
    lateTo,
    merge,
    ttl,
    tables,
    ...settings
  } = options;
  refuseUnknown(settings, REDUCER_OPTIONS);
  if (typeof reduce !== "function") throw invalid(`reduce must be a function (state, event, ctx) => state, not ${typeof reduce}`);
  if (window === undefined && (emit !== undefined || lateTo !== undefined))
    throw invalid("emit and lateTo are for reducers with a `window`");
  if (window?.kind === "session" && merge === undefined) {
    throw invalid("a reducer over sessions needs `merge(earlier, later, key)`: a record between two sessions makes them one");
  }
  if (window !== undefined && (ttl !== undefined || store?.history !== undefined))
    throw invalid("`ttl` and `history` are for reducers without a `window`: windows expire by their retention");
  const { topics, stream } = sourceOf(source);
  const codecs = codecsOf(codec);
  return {
    [DEFINITION]: "reducer",
    reduce: reduce as ReducerDefinition["reduce"],
    initial,
    source: topics,
    sink,
    sourceCodec: codecs.source,
    sinkCodec: codecs.sink,
    timestamp: timestamp as SourceSpec["timestamp"],
    store: store ?? {},
    schemaVersion: checkedVersion(schemaVersion, migrate),
    migrate: migrate as ReducerDefinition["migrate"],
    stream,
    window,
    emit: emit ?? "on-update",
    lateTo,
    merge: merge as ReducerDefinition["merge"],
    ttl: ttl === undefined ? undefined : ttlSpec(ttl),
    tables: (tables ?? []).map((table) => table[NODE]),
    settings: settingsOf(settings, topics, sink),
  };
}

export function processDefinition(options: ProcessOptions<never, never>): GraphDefinition {
  const { source, sink, codec, timestamp, stores, tables, init, process, ...others } = options;
  // What is no setting belongs to the processor: see its receiver below.
  const settings = Object.fromEntries(Object.entries(others).filter(([key]) => Object.hasOwn(SETTINGS, key)));
  if (typeof process !== "function") throw invalid(`process must be a function (record, ctx), not ${typeof process}`);
  const { topics, stream } = sourceOf(source);
  const codecs = codecsOf(codec);
  let input = stream;
  for (const topic of topics ?? []) {
    const node = addNode({ op: "stream", topic, codec: codecs.source, timestamp: timestamp as SourceSpec["timestamp"] }, []);
    input = input === undefined ? node : addNode({ op: "merge" }, [input, node]);
  }
  if (input === undefined) throw invalid("a function with `process` needs a `source`");
  const looked =
    tables === undefined || tables.length === 0 ? input : addNode({ op: "with-tables" }, [input, ...tables.map((table) => table[NODE])]);
  // `options` itself is the receiver, so that init and process may share what else it holds.
  const processor = () => ({ process: process.bind(options), ...(init === undefined ? {} : { init: init.bind(options) }) });
  const processed = addNode({ op: "process", processor, stores: stores ?? {}, codec: codecs.sink }, [looked]);
  const root = sink === undefined ? processed : addNode({ op: "to", topic: sink, codec: codecs.sink }, [processed]);
  return { [DEFINITION]: "graph", roots: [root], query: undefined, schemaVersion: 1, settings: settingsOf(settings, topics, sink) };
}

export function topologyDefinition(options: TopologyOptions): GraphDefinition {
  const { topology, query, ...settings } = options;
  refuseUnknown(settings, ["topology", "query"]);
  const ends = isNode(topology) ? [topology] : topology;
  if (!Array.isArray(ends) || ends.length === 0 || !ends.every(isNode)) {
    throw invalid("topology: list what the function comes to: sinks (what `.to(topic)` returns), and tables that are kept to be read");
  }
  return { [DEFINITION]: "graph", roots: ends.map((end: HasNode) => end[NODE]), query, schemaVersion: 1, settings };
}

function refuseUnknown(settings: object, others: readonly string[]): void {
  const unknown = Object.keys(settings).filter((key) => !Object.hasOwn(SETTINGS, key));
  if (unknown.length === 0) return;
  const known = [...others, ...Object.keys(SETTINGS)];
  throw invalid(`there is no option ${unknown.map((key) => JSON.stringify(key)).join(", ")}; the options here are ${known.join(", ")}`);
}

function sourceOf(source: unknown): { readonly topics: readonly string[] | undefined; readonly stream: GraphNode | undefined } {
  if (source === undefined) return { topics: undefined, stream: undefined };
  if (isNode(source)) return { topics: undefined, stream: source[NODE] };
  const topics: unknown[] = Array.isArray(source) ? source : [source];
  if (topics.every((topic): topic is string => typeof topic === "string" && topic !== "")) return { topics, stream: undefined };
  throw invalid("source must be a topic, a list of topics, or a stream");
}

function codecsOf(codec: Codec | { readonly source?: Codec; readonly sink?: Codec } | undefined): {
  readonly source: Codec;
  readonly sink: Codec;
} {
  if (codec === undefined) return { source: json, sink: json };
  return isCodec(codec) ? { source: codec, sink: codec } : { source: codec.source ?? json, sink: codec.sink ?? json };
}

function settingsOf(settings: FunctionTuning, topics: readonly string[] | undefined, sink: string | undefined): FunctionSettings {
  return { ...settings, ...(topics === undefined ? {} : { source: topics }), ...(sink === undefined ? {} : { sink }) };
}

function checkedVersion(schemaVersion: number | undefined, migrate: Readonly<Record<number, unknown>> | undefined): number {
  const version = schemaVersion ?? 1;
  if (!Number.isSafeInteger(version) || version < 1)
    throw invalid(`schemaVersion must be a whole number from 1, not ${JSON.stringify(schemaVersion)}`);
  const steps = Object.keys(migrate ?? {}).map(Number);
  for (let from = Math.min(...steps); from < version; from++) {
    if (typeof migrate?.[from] !== "function")
      throw invalid(`migrate[${from}] is missing, so states of version ${from} cannot become version ${version}`);
  }
  return version;
}

function ttlSpec(ttl: TimeToLive<never, never>): TtlSpec {
  const { afterWrite, afterRead } = ttl;
  if ((afterWrite === undefined) === (afterRead === undefined)) throw invalid("ttl: give either afterWrite or afterRead");
  const ms = durationMs(afterWrite ?? afterRead ?? 0, "ttl");
  if (ms === 0) throw invalid("ttl must be longer than 0");
  return {
    ms,
    renewedBy: afterWrite === undefined ? "read" : "write",
    by: ttl.by ?? "event-time",
    expired: ttl.expired as TtlSpec["expired"],
  };
}

function isCodec(value: object): value is Codec {
  return "decode" in value && typeof value.decode === "function";
}

function isNode(value: unknown): value is HasNode {
  return typeof value === "object" && value !== null && NODE in value;
}

function invalid(message: string): KeyfoldError {
  return new KeyfoldError("function-invalid", `defineFunction: ${message}`);
}
