import type { GraphNode } from "../define/graph.ts";
import type { StoreOptions } from "../define/stores.ts";

/** Which tables keep their rows in a store, and which send the old row along with each update. */
export interface Materialized {
  /** The step has rows of its own in a store. */
  stored(node: GraphNode): boolean;
  sendsOld(node: GraphNode): boolean;
  /** Its rows are looked up by joins that put their results right when it changes. */
  lookedUp(node: GraphNode): boolean;
  /** Updates may be out of order and then leave the latest row as it is. */
  versioned(node: GraphNode): boolean;
}

/**
 * Kafka Streams' rules: a table's rows are kept where something reads them or needs old values, or where the author names a
 * store; old values are sent where something needs them. A filter makes use of them where they can be had without a store more.
 */
export function materialize(nodes: readonly GraphNode[]): Materialized {
  const stored = new Set<GraphNode>();
  const sendsOld = new Set<GraphNode>();
  const lookedUp = new Set<GraphNode>();

  const hasStore = (node: GraphNode): boolean => stored.has(node) || ownStore(node) !== undefined || ALWAYS.has(node.step.op);

  /** Asks for old values; true when they will come. Without `force` no store is added for it. */
  const enable = (node: GraphNode, force: boolean): boolean => {
    const { op } = node.step;
    if (op === "table" || op === "to-table") {
      if (!force && !hasStore(node)) return false;
      stored.add(node);
    } else if (op === "table-filter" || op === "table-map-values") {
      if (!hasStore(node) && !enable(inputOf(node), force)) return false;
    } else if (op === "suppress") {
      if (!enable(inputOf(node), force)) return false;
    } else if (op === "table-join") {
      if (!force && !hasStore(node)) return false;
      // With the record cache both sides may change before either is flushed: the old result must be what was last sent.
      stored.add(node);
    }
    sendsOld.add(node);
    return true;
  };

  for (const node of nodes) {
    const [left, right] = node.inputs;
    switch (node.step.op) {
      case "table-aggregate":
      case "suppress":
        if (left !== undefined) enable(left, true);
        break;
      case "with-tables":
        for (const table of node.inputs.slice(1)) read(table);
        break;
      case "stream-table-join":
        if (right !== undefined) read(right);
        break;
      case "table-join":
        if (left !== undefined) read(left, true);
        if (right !== undefined) read(right, true);
        if (left !== undefined && node.step.how !== "inner") enable(left, true);
        if (right !== undefined && node.step.how === "outer") enable(right, true);
        break;
      case "foreign-key-join":
        if (left !== undefined) {
          read(left, true);
          enable(left, true);
        }
        if (right !== undefined) read(right, true);
        break;
      default:
    }
  }
  for (const node of nodes) if (node.step.op === "table-filter" && enable(inputOf(node), false)) sendsOld.add(node);

  /** The rows are looked up: the nearest tables that can be read must be stored. */
  function read(node: GraphNode, corrected = false): void {
    const { op } = node.step;
    const source = op === "table" || op === "to-table";
    if (source) stored.add(node);
    if (source || hasStore(node)) {
      if (corrected) lookedUp.add(node);
    } else for (const input of node.inputs) read(input, corrected);
  }

  const versioned = (node: GraphNode): boolean => {
    const own = ownStore(node);
    if (own !== undefined) return own.history !== undefined;
    return (node.step.op === "table-filter" || node.step.op === "table-map-values") && versioned(inputOf(node));
  };

  return { stored: hasStore, sendsOld: (node) => sendsOld.has(node), lookedUp: (node) => lookedUp.has(node), versioned };
}

/** Steps that cannot work without a store. */
const ALWAYS: ReadonlySet<string> = new Set(["aggregate", "table-aggregate", "foreign-key-join", "global-table"]);

/** The store the author gave a step. */
export function ownStore(node: GraphNode): StoreOptions | undefined {
  return "store" in node.step ? node.step.store : undefined;
}

export function inputOf(node: GraphNode): GraphNode {
  const [input] = node.inputs;
  if (input === undefined) throw new TypeError(`${node.step.op} has no input`);
  return input;
}
