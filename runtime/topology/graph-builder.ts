import { json, msgpack } from "../define/codecs.ts";
import type { GraphNode, Step } from "../define/graph.ts";
import type { ProcessStore } from "../define/process.ts";
import { Aggregator } from "../operators/aggregator.ts";
import { answerSubscriptions, type ForeignKeyTopics, fanOut, joinResponses, subscribe } from "../operators/foreign-key-join.ts";
import { keyedAggregate } from "../operators/keyed-aggregate.ts";
import { lateRecords } from "../operators/late.ts";
import { ProcessRecords } from "../operators/process.ts";
import { processStore, TaskProcessContext } from "../operators/process-context.ts";
import { RowWriter } from "../operators/rows.ts";
import { SessionAggregate } from "../operators/session-aggregate.ts";
import { repartitionSink, streamSink, tableSink } from "../operators/sinks.ts";
import { SlidingAggregate } from "../operators/sliding-aggregate.ts";
import { branch, filter, flatMap, flatMapValues, keyBy, map, mapValues, peek, toStream } from "../operators/stateless.ts";
import { StreamJoin } from "../operators/stream-join.ts";
import { HeldStreamTableJoin, StreamTableJoin } from "../operators/stream-table-join.ts";
import { SuppressUpdates } from "../operators/suppress.ts";
import { groupTable, tableAggregate } from "../operators/table-aggregate.ts";
import { joinResult, tableJoin } from "../operators/table-join.ts";
import { globalTableSource, tableSource, unstoredTableSource } from "../operators/table-source.ts";
import { filterRow, mapRow, tableStep } from "../operators/table-steps.ts";
import { type Flushing, type RowView, type StreamTarget, streamFanOut, type TableTarget, tableFanOut } from "../operators/targets.ts";
import { ttlAggregate } from "../operators/ttl-aggregate.ts";
import { WindowAggregate } from "../operators/window-aggregate.ts";
import { ClosingIndex } from "../state/windowed/closing-index.ts";
import { ExpiryQueue } from "../state/windowed/expiry-queue.ts";
import { HoldBuffer } from "../state/windowed/hold-buffer.ts";
import { JoinBuffer } from "../state/windowed/join-buffer.ts";
import type { SessionStore } from "../state/windowed/session-store.ts";
import type { SlidingWindowStore } from "../state/windowed/sliding-window-store.ts";
import type { TimeWindowStore } from "../state/windowed/time-window-store.ts";
import { Unmatched } from "../state/windowed/unmatched.ts";
import { VersionedStore } from "../state/windowed/versioned-store.ts";
import { storeNames } from "./graph-stores.ts";
import { GraphViews } from "./graph-views.ts";
import { inputOf } from "./materialize.ts";
import { repartitionTopic } from "./names.ts";
import type { Plan } from "./plan.ts";
import { suppressWait } from "./suppress-wait.ts";
import type { TaskContext } from "./topology.ts";

type StepOf<O extends Step["op"]> = Extract<Step, { op: O }>;

/** Takes what comes to a step's input; a step knows whether that is a stream or a table. */
interface Port {
  readonly stream?: StreamTarget;
  readonly table?: TableTarget;
}

/**
 * Wires one task's processors: from the ends of the graph backwards, each step once. Whatever has to put memory into stores
 * before a flush is collected in `flushing`.
 */
export class GraphBuilder {
  readonly flushing: Flushing[] = [];
  readonly #plan: Plan;
  readonly #context: TaskContext;
  readonly #ports = new Map<GraphNode, readonly Port[]>();
  readonly #writers = new Map<GraphNode, RowWriter>();
  readonly #views: GraphViews;
  readonly #internal = msgpack;

  constructor(plan: Plan, context: TaskContext) {
    this.#plan = plan;
    this.#context = context;
    this.#views = new GraphViews(plan, context, (flushing) => this.flushing.push(flushing));
  }

  /** What a step does with the records or updates of one of its inputs. */
  port(node: GraphNode, input: number): Port {
    let ports = this.#ports.get(node);
    if (ports === undefined) {
      ports = this.#build(node);
      this.#ports.set(node, ports);
    }
    return ports[input] ?? {};
  }

  streamPort(node: GraphNode, input: number): StreamTarget {
    return this.port(node, input).stream ?? streamFanOut([]);
  }

  /** Where a step's resulting records go: its children in the order of their declaration. */
  streamOut(node: GraphNode): StreamTarget {
    const targets: StreamTarget[] = [];
    this.#eachChild(node, (child, input) => {
      const topic = child.step.op === "table-aggregate" ? undefined : this.#plan.repartitionBefore(child, input);
      if (topic === undefined) targets.push(this.streamPort(child, input));
      else if (child.step.op === "aggregate" && child.step.by !== undefined) {
        targets.push(keyBy(child.step.by, repartitionSink(topic, this.#internal, this.#context)));
      } else targets.push(repartitionSink(topic, this.#internal, this.#context));
    });
    return streamFanOut(targets);
  }

  tableOut(node: GraphNode): TableTarget {
    const targets: TableTarget[] = [];
    this.#eachChild(node, (child, input) => {
      if (child.step.op === "table-aggregate") {
        const topic = repartitionTopic(this.#plan.application, this.#plan.nameOf(child));
        targets.push(groupTable(child.step.by, child.step.value, topic, this.#internal, this.#context));
        return;
      }
      const { table } = this.port(child, input);
      if (table !== undefined) targets.push(table);
    });
    return tableFanOut(targets);
  }

  /** The source of a table, a step that turns records into rows. */
  tableEntry(node: GraphNode): StreamTarget {
    const { tables } = this.#plan;
    if (!tables.stored(node)) return unstoredTableSource(this.#context, this.tableOut(node));
    return tableSource(this.#context, this.#writer(node));
  }

  globalEntry(node: GraphNode): StreamTarget {
    return globalTableSource(this.#context, this.#views.globalRows(node));
  }

  /** Where the responses of a foreign-key join arrive. */
  responses(node: GraphNode): StreamTarget {
    const step = node.step as StepOf<"foreign-key-join">;
    return joinResponses(this.#context, step.how, step.fn, this.#views.view(inputOf(node)), this.#internal, this.#writer(node));
  }

  /** Where its subscriptions arrive. */
  subscriptions(node: GraphNode): StreamTarget {
    const [, right] = node.inputs;
    const store = this.#context.store(storeNames.subscriptions(this.#plan.nameOf(node)));
    return answerSubscriptions(this.#context, store, this.#views.view(right as GraphNode), this.#foreignTopics(node));
  }

  #eachChild(node: GraphNode, visit: (child: GraphNode, input: number) => void): void {
    for (const child of this.#plan.childrenOf(node)) {
      child.inputs.forEach((from, input) => {
        if (from === node) visit(child, input);
      });
    }
  }

  #build(node: GraphNode): readonly Port[] {
    const { step } = node;
    const context = this.#context;
    switch (step.op) {
      case "stream":
      case "table":
      case "global-table":
        return [];
      case "filter":
        return [{ stream: filter(step.fn, step.keep, this.streamOut(node)) }];
      case "map-values":
        return [{ stream: mapValues(step.fn, this.streamOut(node)) }];
      case "map":
        return [{ stream: map(step.fn, this.streamOut(node)) }];
      case "flat-map":
        return [{ stream: flatMap(step.fn, this.streamOut(node)) }];
      case "flat-map-values":
        return [{ stream: flatMapValues(step.fn, this.streamOut(node)) }];
      case "key-by":
        return [{ stream: keyBy(step.fn, this.streamOut(node)) }];
      case "peek":
        return [{ stream: peek(step.fn, this.streamOut(node)) }];
      case "branch": {
        const arms = step.arms.map(() => streamFanOut([]));
        for (const arm of this.#plan.childrenOf(node)) if (arm.step.op === "branch-arm") arms[arm.step.index] = this.streamOut(arm);
        return [{ stream: branch(step.arms, arms) }];
      }
      case "branch-arm":
      case "with-tables":
        return [{ stream: this.streamOut(node) }];
      case "merge": {
        const out = this.streamOut(node);
        return [{ stream: out }, { stream: out }];
      }
      case "repartition":
        return [{ stream: repartitionSink(repartitionTopic(this.#plan.application, this.#plan.nameOf(node)), this.#internal, context) }];
      case "through":
        return [{ stream: streamSink(step.topic, step.codec, context) }];
      case "process":
        return [{ stream: this.#process(node, step) }];
      case "to":
        return [{ stream: streamSink(step.topic, step.codec, context), table: tableSink(step.topic, step.codec, context) }];
      case "to-stream":
        return [{ table: toStream(this.streamOut(node)) }];
      case "to-table":
        return [{ stream: this.tableEntry(node) }];
      case "table-filter":
        return [{ table: this.#tableStep(node, filterRow(step.fn, step.keep)) }];
      case "table-map-values":
        return [{ table: this.#tableStep(node, mapRow(step.fn)) }];
      case "aggregate":
        return [{ stream: this.#aggregate(node, step) }];
      case "table-aggregate":
        return [{ stream: tableAggregate(this.#aggregator(step), this.#writer(node)) }];
      case "suppress":
        return [{ table: this.#suppress(node, step) }];
      case "stream-join":
        return this.#streamJoin(node, step);
      case "stream-table-join":
        return [{ stream: this.#streamTableJoin(node, step) }];
      case "stream-global-join": {
        const rows = this.#views.globalRows(node.inputs[1] as GraphNode);
        return [{ stream: new StreamTableJoin(context, { how: step.how, fn: step.fn, keyFn: step.keyFn, rows }, this.streamOut(node)) }];
      }
      case "table-join":
        return this.#tableJoin(node, step);
      case "foreign-key-join": {
        const topics = this.#foreignTopics(node);
        const here = this.#plan.subtopologyOf(node, 0);
        const there = this.#plan.subtopologyOf(node, 1);
        const task = Number(context.task.split("_")[0]);
        const left = task === here ? { table: subscribe(context, step.how, step.foreignKey, topics, this.responses(node)) } : {};
        const right =
          task === there ? { table: fanOut(context, context.store(storeNames.subscriptions(this.#plan.nameOf(node))), topics) } : {};
        return [left, right];
      }
    }
  }

  #writer(node: GraphNode): RowWriter {
    let writer = this.#writers.get(node);
    if (writer === undefined) {
      writer = new RowWriter(this.#views.rows(node), this.tableOut(node), this.#plan.tables.sendsOld(node));
      this.#writers.set(node, writer);
    }
    return writer;
  }

  #aggregator(step: StepOf<"aggregate" | "table-aggregate">): Aggregator {
    return new Aggregator(step.fns.bind === undefined ? step.fns : step.fns.bind(this.#context));
  }

  #tableStep(node: GraphNode, fn: (key: string, value: unknown) => unknown): TableTarget {
    const { tables } = this.#plan;
    const sendOld = tables.sendsOld(node);
    const writer = tables.stored(node) ? this.#writer(node) : undefined;
    const skipNothing = node.step.op === "table-filter" && sendOld && !tables.versioned(inputOf(node));
    return tableStep(fn, { writer, sendOld, skipNothing }, writer === undefined ? this.tableOut(node) : tableFanOut([]));
  }

  #aggregate(node: GraphNode, step: StepOf<"aggregate">): StreamTarget {
    const context = this.#context;
    const aggregator = this.#aggregator(step);
    const { window } = step;
    const name = this.#plan.nameOf(node);
    if (window === undefined) {
      if (step.ttl === undefined) return keyedAggregate(context, aggregator, this.#writer(node));
      const queue = new ExpiryQueue(context.store(storeNames.expiry(name)), step.ttl.ms);
      return ttlAggregate(context, aggregator, this.#writer(node), queue, step.ttl);
    }
    const onClose = step.emit === "on-window-close";
    const late = lateRecords(context, step.lateTo === undefined ? undefined : { topic: step.lateTo, codec: json });
    const options = { aggregator, onClose, sendOld: this.#plan.tables.sendsOld(node), late };
    const closing = onClose && window.kind !== "time" ? new ClosingIndex(context.store(storeNames.closing(name))) : undefined;
    const store = this.#views.windows(node);
    const out = this.tableOut(node);
    let aggregate: WindowAggregate | SlidingAggregate | SessionAggregate;
    if (window.kind === "time") aggregate = new WindowAggregate(context, window, store as TimeWindowStore, options, out);
    else if (window.kind === "sliding")
      aggregate = new SlidingAggregate(context, window, store as SlidingWindowStore, closing, options, out);
    else aggregate = new SessionAggregate(context, window, store as SessionStore, closing, options, out);
    this.flushing.push(aggregate);
    return aggregate;
  }

  #process(node: GraphNode, step: StepOf<"process">): StreamTarget {
    const context = this.#context;
    const stores = new Map<string, ProcessStore>();
    const versioned: VersionedStore[] = [];
    const ctx = new TaskProcessContext(
      context,
      { codec: step.codec, stores, table: (name) => this.#views.table(name) },
      this.streamOut(node),
    );
    for (const [key, options] of Object.entries(step.stores)) {
      const store = context.store(options.name ?? key);
      const { layout } = store.spec;
      const history = layout?.kind === "versioned" ? new VersionedStore(store, layout.historyMs) : undefined;
      if (history !== undefined) versioned.push(history);
      stores.set(key, processStore(store, history, ctx));
    }
    const processor = new ProcessRecords(step.processor(), ctx, versioned);
    this.flushing.push(processor);
    return processor;
  }

  #suppress(node: GraphNode, step: StepOf<"suppress">): TableTarget {
    const name = this.#plan.nameOf(node);
    const buffer = this.#views.suppressed(node);
    const suppress = new SuppressUpdates({ name, until: step.until, waitMs: suppressWait(node) }, buffer, this.tableOut(node));
    this.flushing.push(suppress);
    return suppress;
  }

  #streamJoin(node: GraphNode, step: StepOf<"stream-join">): readonly Port[] {
    const context = this.#context;
    const name = this.#plan.nameOf(node);
    const retentionMs = Math.max(1, step.beforeMs + step.afterMs + step.graceMs);
    const buffers = {
      left: new JoinBuffer(context.store(storeNames.left(name)), retentionMs),
      right: new JoinBuffer(context.store(storeNames.right(name)), retentionMs),
    };
    const unmatched = step.how === "inner" ? undefined : new Unmatched(context.store(storeNames.unmatched(name)));
    const join = new StreamJoin(context, step, buffers, unmatched, this.streamOut(node));
    this.flushing.push(join);
    return [{ stream: join.left }, { stream: join.right }];
  }

  #streamTableJoin(node: GraphNode, step: StepOf<"stream-table-join">): StreamTarget {
    const rows: RowView = this.#views.view(node.inputs[1] as GraphNode);
    const join = new StreamTableJoin(this.#context, { how: step.how, fn: step.fn, keyFn: undefined, rows }, this.streamOut(node));
    if (step.graceMs === undefined) return join;
    const held = new HeldStreamTableJoin(join, new HoldBuffer(this.#context.store(storeNames.held(this.#plan.nameOf(node)))), step.graceMs);
    this.flushing.push(held);
    return held;
  }

  #tableJoin(node: GraphNode, step: StepOf<"table-join">): readonly Port[] {
    const { tables } = this.#plan;
    const writer = tables.stored(node) ? this.#writer(node) : undefined;
    const sendOld = tables.sendsOld(node);
    const result = joinResult(writer, sendOld, writer === undefined ? this.tableOut(node) : tableFanOut([]));
    const [left, right] = node.inputs as [GraphNode, GraphNode];
    const side = (which: "left" | "right", mine: GraphNode, other: GraphNode): Port => ({
      table: tableJoin(
        this.#context,
        {
          how: step.how,
          fn: step.fn,
          side: which,
          other: this.#views.view(other),
          versioned: tables.versioned(mine),
          sendOld: sendOld && writer === undefined,
        },
        result,
      ),
    });
    return [side("left", left, right), side("right", right, left)];
  }

  #foreignTopics(node: GraphNode): ForeignKeyTopics {
    const name = this.#plan.nameOf(node);
    return {
      subscription: repartitionTopic(this.#plan.application, `${name}-subscription`),
      response: repartitionTopic(this.#plan.application, `${name}-response`),
      codec: this.#internal,
    };
  }
}
