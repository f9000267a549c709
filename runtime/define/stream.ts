import type { Codec } from "../topology/topology.ts";
import { json } from "./codecs.ts";
import { type Duration, durationMs } from "./duration.ts";
import { addNode, type GraphNode, type HasNode, type JoinFn, type JoinHow, NODE, type Step, type ValueFn } from "./graph.ts";
import { GroupedStream } from "./grouped.ts";
import type { ProcessContext, StreamProcessor, StreamRecord } from "./process.ts";
import { named } from "./store-choice.ts";
import type { StoreOptions } from "./stores.ts";
import { GlobalTable, Table, type TableStepOptions } from "./table.ts";
import { type JoinWindow, joinWindow } from "./windows.ts";

/** The end of a chain: what reaches it is written to a topic. To be listed under `topology` in `defineFunction`. */
export interface Sink extends HasNode {
  readonly topic: string;
}

export interface StepName {
  /** Names the topics and stores of this step. Needed where two steps would otherwise have the same. */
  readonly name?: string;
}

type Predicate<V, K> = (value: V, key: K | null) => boolean;

/**
 * A stream of records. Every step gives a new stream and leaves this one as it is. Steps see records with null keys and
 * null values too, and timestamps are kept. Semantics are those of Kafka Streams, record by record.
 */
export class Stream<V, K extends string = string> implements HasNode {
  readonly [NODE]: GraphNode;

  constructor(node: GraphNode) {
    this[NODE] = node;
  }

  filter<W extends V>(predicate: (value: V, key: K | null) => value is W): Stream<W, K>;
  filter(predicate: Predicate<V, K>): Stream<V, K>;
  filter(predicate: Predicate<V, K>): Stream<V, K> {
    return this.#then({ op: "filter", fn: predicate as ValueFn, keep: true });
  }

  filterNot(predicate: Predicate<V, K>): Stream<V, K> {
    return this.#then({ op: "filter", fn: predicate as ValueFn, keep: false });
  }

  mapValues<W>(mapper: (value: V, key: K | null) => W): Stream<W, K> {
    return this.#then({ op: "map-values", fn: mapper as ValueFn });
  }

  /** New key and value. What needs the key after it goes through a repartition topic. */
  map<W>(mapper: (value: V, key: K | null) => readonly [key: string | null, value: W]): Stream<W> {
    return this.#then({ op: "map", fn: mapper as ValueFn });
  }

  /** Any number of records for each, all with its timestamp. */
  flatMap<W>(mapper: (value: V, key: K | null) => Iterable<readonly [key: string | null, value: W]>): Stream<W> {
    return this.#then({ op: "flat-map", fn: mapper as ValueFn });
  }

  /** Any number of values for each, under the same key. */
  flatMapValues<W>(mapper: (value: V, key: K | null) => Iterable<W>): Stream<W, K> {
    return this.#then({ op: "flat-map-values", fn: mapper as ValueFn });
  }

  /** A new key from each record. What needs the key after it goes through a repartition topic, where null keys are left out. */
  keyBy(selector: (value: V, key: K | null) => string | null): Stream<V> {
    return this.#then({ op: "key-by", fn: selector as ValueFn });
  }

  /** Looks at each record and passes it on. */
  peek(look: (value: V, key: K | null) => void): Stream<V, K> {
    return this.#then({ op: "peek", fn: look as ValueFn });
  }

  /** Splits: each record goes to the first arm that takes it, else to `otherwise`, else nowhere. */
  branch<A extends Readonly<Record<string, Predicate<V, K>>>, D extends string = never>(
    arms: A,
    otherwise?: D,
  ): { readonly [N in keyof A | D]: Stream<V, K> } {
    const names = Object.keys(arms);
    const predicates = names.map((name) => arms[name] as ValueFn);
    if (otherwise !== undefined) {
      names.push(otherwise);
      predicates.push(() => true);
    }
    const split = addNode({ op: "branch", arms: predicates }, [this[NODE]]);
    const streams = names.map((arm, index) => [arm, new Stream(addNode({ op: "branch-arm", index, arm }, [split]))] as const);
    return Object.fromEntries(streams) as { readonly [N in keyof A | D]: Stream<V, K> };
  }

  /** Records of both, in the order in which they come. */
  merge<W>(other: Stream<W, K>): Stream<V | W, K> {
    return new Stream(addNode({ op: "merge" }, [this[NODE], other[NODE]]));
  }

  /** Through a topic of the function's own, so that records of a key come together in one partition. */
  repartition(options: StepName & { readonly partitions?: number } = {}): Stream<V, K> {
    return this.#then({ op: "repartition", partitions: options.partitions }, options.name);
  }

  /** Through a topic of yours: written there, and read from there. */
  through(topic: string, options: { readonly codec?: Codec } = {}): Stream<V, K> {
    return this.#then({ op: "through", topic, codec: options.codec ?? json });
  }

  to(topic: string, options: { readonly codec?: Codec } = {}): Sink {
    return sink(topic, options.codec, this[NODE]);
  }

  /** The latest value of each key. */
  toTable(options: TableStepOptions = {}): Table<NonNullable<V>, K> {
    return new Table(addNode({ op: "to-table", store: named(options.store) }, [this[NODE]], options.name));
  }

  groupByKey(): GroupedStream<NonNullable<V>, K> {
    return new GroupedStream(this[NODE], undefined);
  }

  /** Grouped by a new key, through a repartition topic. */
  groupBy(selector: (value: V, key: K | null) => string | null): GroupedStream<NonNullable<V>> {
    return new GroupedStream(this[NODE], selector as ValueFn);
  }

  /** The low-level form: a processor with stores of its own, or a function for each record. */
  process<W>(
    processor: (() => StreamProcessor<V, W>) | ((record: StreamRecord<V>, ctx: ProcessContext<W>) => void),
    options: StepName & { readonly stores?: Readonly<Record<string, StoreOptions>>; readonly codec?: Codec } = {},
  ): Stream<W> {
    const make =
      processor.length === 0 ? (processor as () => StreamProcessor) : () => ({ process: processor as StreamProcessor["process"] });
    return this.#then({ op: "process", processor: make, stores: options.stores ?? {}, codec: options.codec ?? json }, options.name);
  }

  /** With a stream: pairs of records with the same key within the window. With a table: each record with the row of its key. With a global table: with the row of a key of your choice. */
  join<W, R>(
    other: Stream<W, K>,
    joiner: (left: NonNullable<V>, right: NonNullable<W>, key: K) => R,
    window: JoinWindow & StepName,
  ): Stream<R, K>;
  join<W, R>(other: Table<W, K>, joiner: (value: NonNullable<V>, row: W, key: K) => R, options?: TableJoinOptions): Stream<R, K>;
  join<W, R>(
    other: GlobalTable<W>,
    joiner: (value: NonNullable<V>, row: W, key: K | null) => R,
    options: GlobalJoinOptions<V, K>,
  ): Stream<R, K>;
  join(other: HasNode, joiner: unknown, options?: unknown): Stream<never, K> {
    return this.#join("inner", other, joiner as JoinFn, options as JoinOptions | undefined);
  }

  /** As `join`; records without a match come out with null for the other side. */
  leftJoin<W, R>(
    other: Stream<W, K>,
    joiner: (left: NonNullable<V>, right: NonNullable<W> | null, key: K | null) => R,
    window: JoinWindow & StepName,
  ): Stream<R, K>;
  leftJoin<W, R>(
    other: Table<W, K>,
    joiner: (value: NonNullable<V>, row: W | null, key: K | null) => R,
    options?: TableJoinOptions,
  ): Stream<R, K>;
  leftJoin<W, R>(
    other: GlobalTable<W>,
    joiner: (value: NonNullable<V>, row: W | null, key: K | null) => R,
    options: GlobalJoinOptions<V, K>,
  ): Stream<R, K>;
  leftJoin(other: HasNode, joiner: unknown, options?: unknown): Stream<never, K> {
    return this.#join("left", other, joiner as JoinFn, options as JoinOptions | undefined);
  }

  /** As `join` of two streams; records of both sides without a match come out with null for the other. */
  outerJoin<W, R>(
    other: Stream<W, K>,
    joiner: (left: NonNullable<V> | null, right: NonNullable<W> | null, key: K | null) => R,
    window: JoinWindow & StepName,
  ): Stream<R, K> {
    return this.#join("outer", other, joiner as JoinFn, window);
  }

  #join<R>(how: JoinHow, other: HasNode, fn: JoinFn, options: JoinOptions = {}): Stream<R, K> {
    const inputs = [this[NODE], other[NODE]];
    if (other instanceof Stream) return new Stream(addNode({ op: "stream-join", how, fn, ...joinWindow(options) }, inputs, options.name));
    const side = how === "inner" ? "inner" : "left";
    if (other instanceof GlobalTable) {
      return new Stream(
        addNode({ op: "stream-global-join", how: side, fn, keyFn: options.key ?? ((_value, key) => key) }, inputs, options.name),
      );
    }
    const graceMs = options.grace === undefined ? undefined : durationMs(options.grace, "join: grace");
    return new Stream(addNode({ op: "stream-table-join", how: side, fn, graceMs }, inputs, options.name));
  }

  #then<W, K2 extends string>(step: Step, name?: string): Stream<W, K2> {
    return new Stream(addNode(step, [this[NODE]], name));
  }
}

export interface TableJoinOptions extends StepName {
  /** Versioned tables only: records wait so long (stream time), then see the row as of their own time. */
  readonly grace?: Duration;
}

export interface GlobalJoinOptions<V, K> extends StepName {
  /** Key of the row to look up. Default: the record's own. */
  readonly key?: (value: NonNullable<V>, key: K | null) => string | null;
}

interface JoinOptions extends StepName, JoinWindow {
  readonly key?: ValueFn;
}

export function sink(topic: string, codec: Codec | undefined, input: GraphNode): Sink {
  return { topic, [NODE]: addNode({ op: "to", topic, codec: codec ?? json }, [input]) };
}
