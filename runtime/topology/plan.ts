import type { GraphNode, Op } from "../define/graph.ts";
import { KeyfoldError } from "../errors.ts";
import { type Materialized, materialize, ownStore } from "./materialize.ts";
import { repartitionTopic } from "./names.ts";

/** A definition's graph with everything decided that can be decided without running it. */
export interface Plan {
  readonly application: string;
  /** Steps that the function's results depend on, inputs before those that read them. */
  readonly nodes: readonly GraphNode[];
  readonly tables: Materialized;
  /** Name of a step: of its store and, with a suffix, of its topics. */
  nameOf(node: GraphNode): string;
  /** Full name of the repartition topic that stands before an input of a step. */
  repartitionBefore(node: GraphNode, input: number): string | undefined;
  /** Included steps that read this one, in the order in which they were declared. */
  childrenOf(node: GraphNode): readonly GraphNode[];
  /** Number of the subtopology in which a step takes its records (its input'th) ... */
  subtopologyOf(node: GraphNode, input?: number): number;
  /** ... and hands on its results. */
  outputOf(node: GraphNode): number;
  readonly subtopologies: number;
}

const REKEYS: ReadonlySet<Op> = new Set(["map", "flat-map", "key-by", "process"]);
const KEEPS_KEY: ReadonlySet<Op> = new Set([
  "filter",
  "map-values",
  "flat-map-values",
  "peek",
  "branch",
  "branch-arm",
  "merge",
  "stream-global-join",
]);

export function plan(roots: readonly GraphNode[], application: string, functionName: string): Plan {
  const nodes = collect(roots);
  const included = new Set(nodes);
  checkSinks(nodes, included, functionName);
  const tables = materialize(nodes);
  const rekeyed = new Map<GraphNode, boolean>();
  for (const node of nodes)
    rekeyed.set(node, REKEYS.has(node.step.op) || (KEEPS_KEY.has(node.step.op) && node.inputs.some((input) => rekeyed.get(input))));
  const names = nameSteps(nodes, tables, rekeyed, functionName);
  const nameOf = (node: GraphNode): string => names.get(node) ?? "";
  const repartitionBefore = (node: GraphNode, input: number): string | undefined => {
    const changed = rekeyed.get(node.inputs[input] as GraphNode) === true;
    switch (node.step.op) {
      case "aggregate":
        return node.step.by !== undefined || changed ? repartitionTopic(application, nameOf(node)) : undefined;
      case "table-aggregate":
        return repartitionTopic(application, nameOf(node));
      case "to-table":
        return changed ? repartitionTopic(application, nameOf(node)) : undefined;
      case "stream-join":
        return changed ? repartitionTopic(application, `${nameOf(node)}-${input === 0 ? "left" : "right"}`) : undefined;
      case "with-tables":
      case "stream-table-join":
        return changed && input === 0 ? repartitionTopic(application, `${nameOf(node)}-left`) : undefined;
      default:
        return undefined;
    }
  };
  const parts = partition(nodes, repartitionBefore);
  const children = new Map(nodes.map((node) => [node, node.children.filter((child) => included.has(child))]));
  return {
    application,
    nodes,
    tables,
    nameOf,
    repartitionBefore,
    childrenOf: (node) => children.get(node) ?? [],
    ...parts,
  };
}

/** The roots and all they depend on, inputs first. */
function collect(roots: readonly GraphNode[]): GraphNode[] {
  const nodes = new Set<GraphNode>();
  const visit = (node: GraphNode): void => {
    if (nodes.has(node)) return;
    for (const input of node.inputs) visit(input);
    nodes.add(node);
  };
  for (const root of roots) visit(root);
  return [...nodes];
}

/** A `to` that nobody listed would silently do nothing. */
function checkSinks(nodes: readonly GraphNode[], included: ReadonlySet<GraphNode>, functionName: string): void {
  for (const node of nodes) {
    for (const child of node.children) {
      if (child.step.op !== "to" || included.has(child)) continue;
      throw new KeyfoldError(
        "topology-invalid",
        `function "${functionName}": .to("${child.step.topic}") is not part of the function: list what it returns under \`topology\` in defineFunction({ topology: [...] })`,
        { details: { function: functionName, topic: child.step.topic } },
      );
    }
  }
}

/** Names of steps: the author's where there is one, otherwise made of the names of the topics they read. */
function nameSteps(
  nodes: readonly GraphNode[],
  tables: Materialized,
  rekeyed: ReadonlyMap<GraphNode, boolean>,
  functionName: string,
): Map<GraphNode, string> {
  const names = new Map<GraphNode, string>();
  const owners = new Map<string, GraphNode>();
  for (const node of nodes) {
    const given = ownStore(node)?.name ?? node.name;
    const name = given ?? derivedName(node, names);
    names.set(node, name);
    const { step } = node;
    const things =
      step.op === "stream-table-join" || step.op === "with-tables"
        ? (step.op === "stream-table-join" && step.graceMs !== undefined) || rekeyed.get(node.inputs[0] as GraphNode) === true
        : NAMES_THINGS.has(step.op);
    if (!things && !tables.stored(node)) continue;
    const other = owners.get(name);
    if (other !== undefined) {
      throw new KeyfoldError(
        "topology-invalid",
        `function "${functionName}": the steps ${other.step.op} and ${node.step.op} would both be called "${name}"; give one of them a name, as { name: "..." } or { store: "..." }: its store and topics are called after it`,
        { details: { function: functionName, name } },
      );
    }
    owners.set(name, node);
  }
  return names;
}

/** Steps with topics or stores called after them. */
const NAMES_THINGS: ReadonlySet<Op> = new Set([
  "aggregate",
  "table-aggregate",
  "repartition",
  "suppress",
  "stream-join",
  "foreign-key-join",
  "global-table",
]);

function derivedName(node: GraphNode, names: ReadonlyMap<GraphNode, string>): string {
  const { step } = node;
  const before = [...new Set(node.inputs.map((input) => names.get(input) ?? ""))].join("-");
  switch (step.op) {
    case "stream":
    case "table":
    case "global-table":
    case "through":
    case "to":
      return step.topic;
    case "branch-arm":
      return `${before}-${step.arm}`;
    case "aggregate":
      return `${before}-aggregate`;
    case "table-aggregate":
      return `${before}-grouped`;
    case "to-table":
      return `${before}-table`;
    case "table-filter":
      return `${before}-filter`;
    case "table-map-values":
      return `${before}-values`;
    case "suppress":
      return `${before}-suppress`;
    case "repartition":
      return `${before}-by-key`;
    case "with-tables":
    case "stream-join":
    case "stream-table-join":
    case "stream-global-join":
    case "table-join":
    case "foreign-key-join":
      return `${before}-join`;
    default:
      return before;
  }
}

/** Splits the graph at its topics: parts that are connected otherwise are one subtopology. */
function partition(
  nodes: readonly GraphNode[],
  repartitionBefore: Plan["repartitionBefore"],
): Pick<Plan, "subtopologyOf" | "outputOf" | "subtopologies"> {
  const parents: number[] = [];
  const find = (i: number): number => {
    let at = i;
    while (parents[at] !== at) at = parents[at] as number;
    parents[i] = at;
    return at;
  };
  const union = (a: number, b: number): void => {
    const [low, high] = [find(a), find(b)].sort((x, y) => x - y);
    parents[high as number] = low as number;
  };
  const fresh = (): number => parents.push(parents.length) - 1;
  const inputs = new Map<GraphNode, number[]>();
  const outputs = new Map<GraphNode, number>();
  const topics = new Map<string, number>();
  for (const node of nodes) {
    const { step } = node;
    const own = fresh();
    const places: number[] = [];
    node.inputs.forEach((input, i) => {
      const from = outputs.get(input) as number;
      if (repartitionBefore(node, i) !== undefined) places.push(own);
      else if (input.step.op === "global-table") places.push(own);
      else places.push(from);
    });
    // These hand on their results on the other side of a topic.
    const crosses = step.op === "repartition" || step.op === "through";
    if (!crosses) {
      places.forEach((place, i) => {
        if (!(step.op === "foreign-key-join" && i === 1)) union(own, place);
      });
    }
    inputs.set(node, places);
    outputs.set(node, own);
    if (step.op === "stream" || step.op === "table" || step.op === "through") {
      // One consumer group reads a topic once.
      const reader = topics.get(step.topic);
      if (reader === undefined) topics.set(step.topic, own);
      else union(reader, own);
    }
  }
  const numbers = new Map<number, number>();
  const numberOf = (i: number): number => {
    const root = find(i);
    const known = numbers.get(root);
    if (known !== undefined) return known;
    numbers.set(root, numbers.size);
    return numbers.size - 1;
  };
  for (const node of nodes) {
    if (node.step.op === "global-table") continue;
    for (const place of inputs.get(node) ?? []) numberOf(place);
    numberOf(outputs.get(node) as number);
  }
  return {
    subtopologyOf: (node, input = 0) => numberOf(inputs.get(node)?.[input] ?? (outputs.get(node) as number)),
    outputOf: (node) => numberOf(outputs.get(node) as number),
    subtopologies: numbers.size,
  };
}
