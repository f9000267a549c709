import { json, msgpack } from "../define/codecs.ts";
import type { GraphNode } from "../define/graph.ts";
import { KeyfoldError } from "../errors.ts";
import { type Flushing, type StreamTarget, streamFanOut } from "../operators/targets.ts";
import { GraphBuilder } from "./graph-builder.ts";
import { type PlacedStore, placeStores } from "./graph-stores.ts";
import { repartitionTopic } from "./names.ts";
import { type Plan, plan } from "./plan.ts";
import { stepsOf } from "./step-info.ts";
import type { Codec, RepartitionSpec, SinkSpec, SourceSpec, Subtopology, TaskContext, TaskGraph, Topology } from "./topology.ts";

/** A topic that a subtopology reads, and what becomes of its records. */
interface Entry {
  readonly subtopology: number;
  readonly source: SourceSpec;
  target(builder: GraphBuilder): StreamTarget;
}

export interface CompiledGraph {
  readonly topology: Topology;
  readonly plan: Plan;
  readonly stores: readonly PlacedStore[];
}

/** A graph of steps as a topology. */
export function compileGraph(roots: readonly GraphNode[], options: { readonly name: string; readonly application: string }): CompiledGraph {
  const planned = plan(roots, options.application, options.name);
  const stores = placeStores(planned, options.name);
  const entries = entriesOf(planned);
  const globals = planned.nodes.filter((node) => node.step.op === "global-table");
  const subtopologies: Subtopology[] = [];
  for (let id = 0; id < planned.subtopologies; id++) {
    const own = entries.filter((entry) => entry.subtopology === id);
    const looksUp = globals.filter((table) => usesGlobal(planned, table, id));
    const globalEntries = looksUp.map((table) => globalEntry(table, id));
    const all = [...own, ...globalEntries];
    subtopologies.push({
      id,
      sources: mergeSources(all, options.name),
      stores: stores
        .filter(({ subtopology, node }) => subtopology === id || (subtopology === "global" && looksUp.includes(node)))
        .map(({ spec }) => spec),
      sinks: sinksOf(planned, id),
      repartitions: repartitionsOf(planned, id),
      steps: stepsOf(planned, stores, id),
      build: (context) => wire(planned, all, context),
    });
  }
  return { topology: { function: options.name, subtopologies }, plan: planned, stores };
}

function wire(planned: Plan, entries: readonly Entry[], context: TaskContext): TaskGraph {
  const builder = new GraphBuilder(planned, context);
  const targets = new Map<string, StreamTarget[]>();
  for (const entry of entries) {
    const { topic } = entry.source;
    targets.set(topic, [...(targets.get(topic) ?? []), entry.target(builder)]);
  }
  const byTopic = new Map([...targets].map(([topic, list]) => [topic, streamFanOut(list)]));
  return new WiredGraph(byTopic, builder.flushing);
}

class WiredGraph implements TaskGraph {
  readonly #targets: ReadonlyMap<string, StreamTarget>;
  readonly #flushing: readonly Flushing[];

  constructor(targets: ReadonlyMap<string, StreamTarget>, flushing: readonly Flushing[]) {
    this.#targets = targets;
    this.#flushing = flushing;
  }

  process(topic: string, key: string | null, value: unknown, timestamp: number): void {
    this.#targets.get(topic)?.process(key, value, timestamp);
  }

  beforeFlush(): void {
    for (const flushing of this.#flushing) flushing.beforeFlush();
  }
}

function entriesOf(planned: Plan): Entry[] {
  const entries: Entry[] = [];
  const internal = (topic: string, subtopology: number, target: Entry["target"], prefetch?: string): void => {
    entries.push({ subtopology, source: { topic, codec: msgpack, ...(prefetch === undefined ? {} : { prefetch }) }, target });
  };
  for (const node of planned.nodes) {
    const { step } = node;
    const name = planned.nameOf(node);
    const out = planned.outputOf(node);
    if (step.op === "stream" || step.op === "table") {
      const prefetch = step.op === "table" ? (planned.tables.stored(node) ? name : undefined) : prefetchOf(planned, node);
      entries.push({
        subtopology: out,
        source: {
          topic: step.topic,
          codec: step.codec,
          ...(step.timestamp === undefined ? {} : { timestamp: step.timestamp }),
          ...(prefetch === undefined ? {} : { prefetch }),
        },
        target: (builder) => (step.op === "table" ? builder.tableEntry(node) : builder.streamOut(node)),
      });
    } else if (step.op === "through") {
      entries.push({ subtopology: out, source: { topic: step.topic, codec: step.codec }, target: (builder) => builder.streamOut(node) });
    } else if (step.op === "repartition") {
      internal(repartitionTopic(planned.application, name), out, (builder) => builder.streamOut(node), prefetchOf(planned, node));
    } else if (step.op === "foreign-key-join") {
      internal(repartitionTopic(planned.application, `${name}-subscription`), planned.subtopologyOf(node, 1), (builder) =>
        builder.subscriptions(node),
      );
      internal(repartitionTopic(planned.application, `${name}-response`), out, (builder) => builder.responses(node));
    }
    node.inputs.forEach((_input, i) => {
      const topic = planned.repartitionBefore(node, i);
      if (topic === undefined) return;
      const keyed = step.op === "table-aggregate" || step.op === "to-table" || (step.op === "aggregate" && step.window === undefined);
      internal(
        topic,
        planned.subtopologyOf(node, i),
        (builder) => builder.streamPort(node, i),
        keyed && planned.tables.stored(node) ? name : undefined,
      );
    });
  }
  return entries;
}

/** The store of the aggregation that reads a source's records directly, under their own keys. */
function prefetchOf(planned: Plan, node: GraphNode): string | undefined {
  for (const child of planned.childrenOf(node)) {
    if (child.step.op === "aggregate" && child.step.window === undefined && planned.repartitionBefore(child, 0) === undefined)
      return planned.nameOf(child);
    if (child.step.op === "stream-table-join" && child.inputs[0] === node && planned.repartitionBefore(child, 0) === undefined) {
      const [, table] = child.inputs;
      if (table !== undefined && planned.tables.stored(table) && table.step.op !== "aggregate") return planned.nameOf(table);
    }
  }
  return undefined;
}

function globalEntry(node: GraphNode, subtopology: number): Entry {
  const { step } = node;
  if (step.op !== "global-table") throw new TypeError(`${step.op} is no global table`);
  return {
    subtopology,
    source: { topic: step.topic, codec: step.codec, global: true, ...(step.timestamp === undefined ? {} : { timestamp: step.timestamp }) },
    target: (builder) => builder.globalEntry(node),
  };
}

function usesGlobal(planned: Plan, table: GraphNode, subtopology: number): boolean {
  return planned.childrenOf(table).some((child) => planned.outputOf(child) === subtopology);
}

/** One source a topic, however many steps read it. */
function mergeSources(entries: readonly Entry[], functionName: string): SourceSpec[] {
  const sources = new Map<string, SourceSpec>();
  for (const { source } of entries) {
    const other = sources.get(source.topic);
    if (other === undefined) sources.set(source.topic, source);
    else if (other.codec.name !== source.codec.name || other.timestamp !== source.timestamp || other.global !== source.global) {
      throw new KeyfoldError(
        "topology-invalid",
        `function "${functionName}" reads topic "${source.topic}" twice, with different codecs, timestamps or kinds; read it once and use that twice`,
        {
          details: { function: functionName, topic: source.topic },
        },
      );
    }
  }
  return [...sources.values()];
}

function sinksOf(planned: Plan, subtopology: number): SinkSpec[] {
  const sinks = new Map<string, Codec>();
  for (const node of planned.nodes) {
    const { step } = node;
    if ((step.op === "to" || step.op === "through") && planned.subtopologyOf(node) === subtopology) sinks.set(step.topic, step.codec);
    if (step.op === "aggregate" && step.lateTo !== undefined && planned.outputOf(node) === subtopology) sinks.set(step.lateTo, json);
  }
  return [...sinks].map(([topic, codec]) => ({ topic, codec }));
}

function repartitionsOf(planned: Plan, subtopology: number): RepartitionSpec[] {
  const topics: RepartitionSpec[] = [];
  for (const node of planned.nodes) {
    const { step } = node;
    const name = planned.nameOf(node);
    if (step.op === "repartition" && planned.subtopologyOf(node) === subtopology) {
      topics.push({
        topic: repartitionTopic(planned.application, name),
        ...(step.partitions === undefined ? {} : { partitions: step.partitions }),
      });
    }
    if (step.op === "foreign-key-join") {
      if (planned.outputOf(node) === subtopology) topics.push({ topic: repartitionTopic(planned.application, `${name}-subscription`) });
      if (planned.subtopologyOf(node, 1) === subtopology) topics.push({ topic: repartitionTopic(planned.application, `${name}-response`) });
    }
    node.inputs.forEach((input, i) => {
      const topic = planned.repartitionBefore(node, i);
      if (topic !== undefined && planned.outputOf(input) === subtopology) topics.push({ topic });
    });
  }
  return topics;
}
