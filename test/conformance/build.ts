import {
  defineFunction,
  type FunctionDefinition,
  type GlobalTable,
  globalTable,
  hopping,
  lru,
  memory,
  rocksdb,
  type Sink,
  type StoreOptions,
  type Stream,
  session,
  sliding,
  stream,
  type Table,
  table,
  tumbling,
  type WindowSpec,
} from "keyfold";
import * as fns from "./functions.mjs";
import { processor } from "./processors.ts";
import type { Scenario, ScenarioNode, Window } from "./scenario.ts";

type AnyStream = Stream<unknown>;
type AnyTable = Table<unknown>;
type GroupedStream = ReturnType<AnyStream["groupByKey"]>;
type GroupedTable = ReturnType<AnyTable["groupBy"]>;

type Made =
  | { readonly kind: "stream"; readonly stream: AnyStream }
  | { readonly kind: "table"; readonly table: AnyTable }
  | { readonly kind: "global"; readonly table: GlobalTable<unknown> }
  | { readonly kind: "grouped-stream"; readonly grouped: GroupedStream }
  | { readonly kind: "grouped-table"; readonly grouped: GroupedTable };

/** A scenario's topology through the public API. */
export function build(scenario: Scenario): FunctionDefinition {
  const made = new Map<string, Made>();
  const sinks: Sink[] = [];
  const sources = new Map<string, Made>();
  for (const node of scenario.topology) step(node, made, sinks, sources);
  const ends: (AnyStream | AnyTable | Sink)[] = [];
  for (const one of made.values()) {
    if (one.kind === "stream") ends.push(one.stream);
    else if (one.kind === "table") ends.push(one.table);
  }
  return defineFunction({ topology: [...ends, ...sinks] });
}

function step(node: ScenarioNode, made: Map<string, Made>, sinks: Sink[], sources: Map<string, Made>): void {
  const input = (i = 0): Made => {
    const found = made.get(node.from?.[i] ?? "");
    if (found === undefined) throw new Error(`${node.id}: no input ${i}`);
    return found;
  };
  const put = (one: Made, id = node.id): void => void made.set(id, one);
  // Steps are put together at run time: their types are of no use here.
  const putStream = (one: unknown): void => put({ kind: "stream", stream: one as AnyStream });
  const putTable = (one: unknown): void => put({ kind: "table", table: one as AnyTable });
  const fn = node.fn ?? "";
  switch (node.op) {
    case "stream": {
      // One source a topic, as Kafka Streams makes of them.
      const topic = node.topic ?? "";
      const source = sources.get(topic) ?? { kind: "stream", stream: stream<unknown>(topic) };
      sources.set(topic, source);
      return put(source);
    }
    case "table":
      return putTable(table<unknown>(node.topic ?? "", storeChoice(node)));
    case "globalTable":
      return put({ kind: "global", table: globalTable<unknown>(node.topic ?? "", storeChoice(node)) });
    case "to": {
      const from = input();
      sinks.push(from.kind === "table" ? from.table.to(node.topic ?? "") : streamOf(from).to(node.topic ?? ""));
      return;
    }
    case "filter":
    case "filterNot": {
      const predicate = fns.predicate(fn);
      const from = input();
      const keep = node.op;
      if (from.kind === "table") return putTable(from.table[keep]((value, key) => predicate(key, value), stepOptions(node)));
      return putStream(streamOf(from)[keep]((value, key) => predicate(key, value)));
    }
    case "mapValues": {
      const mapper = fns.valueMapper(fn);
      const from = input();
      if (from.kind === "table") return putTable(from.table.mapValues((value, key) => mapper(key, value), stepOptions(node)));
      return putStream(streamOf(from).mapValues((value, key) => mapper(key, value)));
    }
    case "map": {
      const mapper = fns.pairMapper(fn);
      return putStream(streamOf(input()).map((value, key) => mapper(key, value)));
    }
    case "flatMap": {
      const mapper = fns.flatPairMapper(fn);
      return putStream(streamOf(input()).flatMap((value, key) => mapper(key, value)));
    }
    case "flatMapValues": {
      const mapper = fns.flatValueMapper(fn);
      return putStream(streamOf(input()).flatMapValues((value) => mapper(value)));
    }
    case "selectKey": {
      const selector = fns.keySelector(fn);
      return putStream(streamOf(input()).keyBy((value, key) => selector(key, value)));
    }
    case "branch": {
      const arms = Object.fromEntries(
        (node.branches ?? []).map((arm) => {
          const predicate = fns.predicate(arm.fn);
          return [arm.id, (value: unknown, key: string | null) => predicate(key, value)] as const;
        }),
      );
      const streams = node.default === undefined ? streamOf(input()).branch(arms) : streamOf(input()).branch(arms, node.default);
      for (const [id, one] of Object.entries(streams)) put({ kind: "stream", stream: one }, id);
      return;
    }
    case "merge":
      return putStream(streamOf(input(0)).merge(streamOf(input(1))));
    case "peek":
      return putStream(streamOf(input()).peek(() => {}));
    case "repartition":
      return putStream(streamOf(input()).repartition({ name: node.id }));
    case "toStream":
      return putStream(tableOf(input()).toStream());
    case "toTable":
      return putTable(streamOf(input()).toTable(stepOptions(node)));
    case "groupByKey":
      return put({ kind: "grouped-stream", grouped: streamOf(input()).groupByKey() });
    case "groupBy": {
      const selector = fns.keySelector(node.key ?? "");
      const from = input();
      if (from.kind !== "table") return put({ kind: "grouped-stream", grouped: streamOf(from).groupBy((value, key) => selector(key, value)) });
      const mapper = fns.valueMapper(node.value ?? "identity");
      return put({ kind: "grouped-table", grouped: from.table.groupBy((row, key) => selector(key, row), (row, key) => mapper(key, row)) as GroupedTable });
    }
    case "count":
    case "reduce":
    case "aggregate":
      return putTable(aggregated(node, input()));
    case "suppress":
      return putTable(
        tableOf(input()).suppress(
          node.until === "windowCloses"
            ? { until: "window-closes" }
            : { until: "time-limit", wait: node.waitMs ?? 0, ...(node.maxRecords === undefined ? {} : { maxRecords: node.maxRecords }) },
          { name: node.id },
        ),
      );
    case "streamStreamJoin": {
      const join = joinOf(node, { inner: "join", left: "leftJoin", outer: "outerJoin" } as const);
      const { beforeMs = 0, afterMs = 0, graceMs = 0 } = node.window ?? {};
      const window = { before: beforeMs, after: afterMs, grace: graceMs, name: node.id };
      return putStream(call(streamOf(input(0)), join.method, streamOf(input(1)), join.joiner, window));
    }
    case "streamTableJoin": {
      const join = joinOf(node, { inner: "join", left: "leftJoin", outer: "leftJoin" } as const);
      const options = { name: node.id, ...(node.graceMs === undefined ? {} : { grace: node.graceMs }) };
      return putStream(call(streamOf(input(0)), join.method, tableOf(input(1)), join.joiner, options));
    }
    case "streamGlobalJoin": {
      const join = joinOf(node, { inner: "join", left: "leftJoin", outer: "leftJoin" } as const);
      const selector = fns.keySelector(node.keyFn ?? "key");
      const other = input(1);
      if (other.kind !== "global") throw new Error(`${node.id}: no global table`);
      return putStream(call(streamOf(input(0)), join.method, other.table, join.joiner, { name: node.id, key: (value: unknown, key: string | null) => selector(key, value) }));
    }
    case "tableTableJoin": {
      const join = joinOf(node, { inner: "join", left: "leftJoin", outer: "outerJoin" } as const);
      return putTable(call(tableOf(input(0)), join.method, tableOf(input(1)), join.joiner, stepOptions(node)));
    }
    case "foreignKeyJoin": {
      const join = joinOf(node, { inner: "joinBy", left: "leftJoinBy", outer: "leftJoinBy" } as const);
      const selector = fns.keySelector(node.foreignKey ?? "");
      return putTable(call(tableOf(input(0)), join.method, tableOf(input(1)), (row: unknown) => selector(null, row), join.joiner, stepOptions(node)));
    }
    case "process": {
      const store = node.store ?? node.id;
      const make = processor(node.processor ?? "", node.params ?? {}, store);
      return putStream(streamOf(input()).process(make, { name: node.id, stores: { [store]: storeOf(node) } }));
    }
    default:
      throw new Error(`unknown op: ${node.op}`);
  }
}

function aggregated(node: ScenarioNode, from: Made): unknown {
  const store = storeOf(node);
  if (from.kind === "grouped-table") {
    const { grouped } = from;
    if (node.op === "count") return grouped.count(store);
    if (node.op === "reduce") {
      return grouped.reduce(fns.reducer(node.adder ?? "") as () => never, fns.reducer(node.subtractor ?? "") as () => never, store);
    }
    const adder = fns.aggregator(node.adder ?? "");
    const subtractor = fns.aggregator(node.subtractor ?? "");
    return grouped.aggregate(
      {
        init: () => structuredClone(node.init ?? null),
        add: (state, value, key) => adder(key, value, state),
        subtract: (state, value, key) => subtractor(key, value, state),
      },
      store,
    );
  }
  if (from.kind !== "grouped-stream") throw new Error(`${node.id}: not grouped`);
  const { window } = node;
  const aggregator = fns.aggregator(node.aggregator ?? "count");
  const aggregation = { init: (): unknown => structuredClone(node.init ?? null), add: (state: unknown, value: unknown, key: string) => aggregator(key, value, state) };
  const reducer = fns.reducer(node.reducer ?? "sum") as () => never;
  if (window?.type === "session") {
    const sessions = from.grouped.windowedBy(sessionOf(window), emitOf(window));
    if (node.op === "count") return sessions.count(store);
    if (node.op === "reduce") return sessions.reduce(reducer, store);
    const merger = fns.merger(node.merger ?? "sum");
    return sessions.aggregate({ ...aggregation, merge: (earlier, later) => merger(earlier, later) }, store);
  }
  const grouped = window === undefined ? from.grouped : from.grouped.windowedBy(windowOf(window), emitOf(window));
  if (node.op === "count") return grouped.count(store);
  if (node.op === "reduce") return grouped.reduce(reducer, store);
  return grouped.aggregate(aggregation, store);
}

/** Without a retention of its own a window has Kafka Streams' shortest one. */
function windowOf({ type, sizeMs = 0, advanceMs = 0, diffMs = 0, graceMs = 0, retentionMs }: Window): WindowSpec {
  if (type === "tumbling") return tumbling(sizeMs, { grace: graceMs, retention: retentionMs ?? sizeMs + graceMs });
  if (type === "hopping") return hopping(sizeMs, { advance: advanceMs, grace: graceMs, retention: retentionMs ?? sizeMs + graceMs });
  return sliding(diffMs, { grace: graceMs, retention: retentionMs ?? 2 * diffMs + graceMs });
}

function sessionOf({ gapMs = 0, graceMs = 0, retentionMs }: Window): ReturnType<typeof session> {
  return session(gapMs, { grace: graceMs, retention: retentionMs ?? gapMs + graceMs });
}

function emitOf({ emit }: Window): { readonly emit: "on-update" | "on-window-close" } {
  return { emit: emit === "onWindowClose" ? "on-window-close" : "on-update" };
}

function joinOf<M extends string>(node: ScenarioNode, methods: Readonly<Record<"inner" | "left" | "outer", M>>) {
  const joiner = fns.joiner(node.joiner ?? "");
  return { method: methods[node.how ?? "inner"], joiner: (left: unknown, right: unknown) => joiner(left, right) };
}

function storeChoice(node: ScenarioNode): { readonly store?: StoreOptions } {
  return node.store === undefined && node.storeType === undefined ? {} : { store: storeOf(node) };
}

function stepOptions(node: ScenarioNode): { readonly name: string; readonly store?: StoreOptions } {
  return { name: node.id, ...storeChoice(node) };
}

/** The store a node names, or one called after the node. */
function storeOf(node: ScenarioNode): StoreOptions {
  const name = node.store ?? node.id;
  switch (node.storeType) {
    case "memory":
      return memory({ name });
    case "lru":
      return lru({ name, maxEntries: node.maxEntries ?? 1 });
    case "versioned":
      return rocksdb({ name, history: node.historyMs ?? 0 });
    default:
      return { name };
  }
}

function streamOf(one: Made): AnyStream {
  if (one.kind !== "stream") throw new Error(`a ${one.kind} is no stream`);
  return one.stream;
}

function tableOf(one: Made): AnyTable {
  if (one.kind !== "table") throw new Error(`a ${one.kind} is no table`);
  return one.table;
}

function call(target: object, method: string, ...args: readonly unknown[]): unknown {
  const found: unknown = Reflect.get(target, method);
  if (typeof found !== "function") throw new Error(`no method ${method}`);
  return Reflect.apply(found, target, args);
}
