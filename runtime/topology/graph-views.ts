import type { TableView } from "../define/context.ts";
import type { GraphNode } from "../define/graph.ts";
import { parseWindowedKey, windowedKey, windowOf } from "../define/windowed-key.ts";
import { plainRows, type Rows, versionedRows } from "../operators/rows.ts";
import { suppressView } from "../operators/suppress.ts";
import { tableJoinView } from "../operators/table-join.ts";
import { filterRow, mapRow, tableStepView } from "../operators/table-steps.ts";
import type { Flushing, RowView } from "../operators/targets.ts";
import { SessionStore } from "../state/windowed/session-store.ts";
import { SlidingWindowStore } from "../state/windowed/sliding-window-store.ts";
import { type KeyForm, SuppressBuffer } from "../state/windowed/suppress-buffer.ts";
import { TIME_LENGTH, timeAt, timeKey } from "../state/windowed/time-key.ts";
import { TimeWindowStore } from "../state/windowed/time-window-store.ts";
import { inputOf } from "./materialize.ts";
import type { Plan } from "./plan.ts";
import type { TaskContext } from "./topology.ts";

export type WindowStore = TimeWindowStore | SlidingWindowStore | SessionStore;

/** The stores of one task's graph and what can be read from them, each made once. */
export class GraphViews {
  readonly #plan: Plan;
  readonly #context: TaskContext;
  readonly #collect: (flushing: Flushing) => void;
  readonly #rows = new Map<GraphNode, Rows>();
  readonly #windows = new Map<GraphNode, WindowStore>();
  readonly #suppressed = new Map<GraphNode, SuppressBuffer>();

  constructor(plan: Plan, context: TaskContext, collect: (flushing: Flushing) => void) {
    this.#plan = plan;
    this.#context = context;
    this.#collect = collect;
  }

  /** The rows of a stored table. */
  rows(node: GraphNode): Rows {
    return remember(this.#rows, node, () => {
      const store = this.#context.store(this.#plan.nameOf(node));
      if (store.spec.layout?.kind !== "versioned") return plainRows(store);
      const rows = versionedRows(store, store.spec.layout.historyMs);
      this.#collect(rows);
      return rows;
    });
  }

  globalRows(node: GraphNode): Rows {
    return remember(this.#rows, node, () => plainRows(this.#context.store(this.#plan.nameOf(node))));
  }

  windows(node: GraphNode): WindowStore {
    return remember(this.#windows, node, () => {
      const store = this.#context.store(this.#plan.nameOf(node));
      const { layout } = store.spec;
      if (layout?.kind === "time-windows") return new TimeWindowStore(store, layout.sizeMs, layout.retentionMs);
      if (layout?.kind === "sliding-windows") return new SlidingWindowStore(store, layout.diffMs, layout.retentionMs);
      if (layout?.kind === "sessions") return new SessionStore(store, layout.retentionMs);
      throw new TypeError(`store "${store.name}" has no windows`);
    });
  }

  suppressed(node: GraphNode): SuppressBuffer {
    return remember(
      this.#suppressed,
      node,
      () => new SuppressBuffer(this.#context.store(this.#plan.nameOf(node)), isWindowed(node) ? WINDOWED_KEYS : PLAIN_KEYS),
    );
  }

  /** A table's current rows, from its store or computed from the tables before it. */
  view(node: GraphNode): RowView {
    const { step } = node;
    if (step.op === "aggregate" && step.window !== undefined) return windowView(this.windows(node));
    if (this.#plan.tables.stored(node)) return this.rows(node);
    switch (step.op) {
      case "table-filter":
        return tableStepView(filterRow(step.fn, step.keep), this.view(inputOf(node)));
      case "table-map-values":
        return tableStepView(mapRow(step.fn), this.view(inputOf(node)));
      case "suppress":
        return suppressView(this.suppressed(node), this.view(inputOf(node)));
      case "table-join": {
        const [left, right] = node.inputs as [GraphNode, GraphNode];
        return tableJoinView(step.how, step.fn, this.view(left), this.view(right));
      }
      default:
        throw new TypeError(`${step.op} has no rows to read`);
    }
  }

  /** `ctx.table(name)`. */
  table(name: string): TableView {
    for (const node of this.#plan.nodes) {
      if (this.#plan.nameOf(node) !== name || !this.#plan.tables.stored(node)) continue;
      const view = node.step.op === "global-table" ? this.globalRows(node) : this.view(node);
      return { get: (key) => view.get(key)?.value };
    }
    throw new TypeError(`ctx.table(${JSON.stringify(name)}): no such table; list it under \`tables\` in defineFunction`);
  }
}

const PLAIN_KEYS: KeyForm = { encode: (key) => key, decode: (text) => text };

/** Key first, then start: `k1` before `k10`, and windows of a key in time order. */
const WINDOWED_KEYS: KeyForm = {
  encode(text) {
    const { key, start, end } = windowOf(text);
    return `${key}\0${timeKey(start)}${timeKey(end)}`;
  },
  decode(text) {
    const at = text.length - 2 * TIME_LENGTH;
    return windowedKey(text.slice(0, at - 1), timeAt(text, at), timeAt(text, at + TIME_LENGTH));
  },
};

/** A table's keys are windowed: it comes from a windowed aggregation. */
function isWindowed(node: GraphNode): boolean {
  if (node.step.op === "aggregate") return node.step.window !== undefined;
  const passes =
    node.step.op === "table-filter" || node.step.op === "table-map-values" || node.step.op === "suppress" || node.step.op === "table-join";
  return passes && isWindowed(inputOf(node));
}

function windowView(store: WindowStore): RowView {
  return {
    get(text) {
      const window = parseWindowedKey(text);
      if (window === undefined) return undefined;
      if (!(store instanceof SessionStore)) return store.get(window.key, window.start);
      const entry = store.get(window.key, window.start, window.end);
      return entry === undefined ? undefined : { value: entry.value, timestamp: window.end };
    },
  };
}

function remember<V>(made: Map<GraphNode, V>, node: GraphNode, make: () => V): V {
  let value = made.get(node);
  if (value === undefined) {
    value = make();
    made.set(node, value);
  }
  return value;
}
