import type { GraphNode } from "../define/graph.ts";
import type { PlacedStore } from "./graph-stores.ts";
import { repartitionTopic } from "./names.ts";
import type { Plan } from "./plan.ts";
import type { StepInfo } from "./topology.ts";

/** The steps of one subtopology, for people. */
export function stepsOf(planned: Plan, stores: readonly PlacedStore[], subtopology: number): StepInfo[] {
  const ids = new Map(planned.nodes.map((node, i) => [node, `${node.step.op}-${i + 1}`]));
  const steps: StepInfo[] = [];
  for (const node of planned.nodes) {
    const here =
      node.step.op === "global-table"
        ? planned.childrenOf(node).some((child) => planned.outputOf(child) === subtopology)
        : planned.subtopologyOf(node) === subtopology;
    if (!here) continue;
    const from: string[] = [];
    const reads: string[] = [];
    node.inputs.forEach((input, i) => {
      const topic = planned.repartitionBefore(node, i);
      if (topic !== undefined) reads.push(topic);
      // The other side of a topic: what comes after these reads that.
      else if (input.step.op === "through") reads.push(input.step.topic);
      else if (input.step.op === "repartition") reads.push(repartitionTopic(planned.application, planned.nameOf(input)));
      else from.push(ids.get(input) ?? "");
    });
    steps.push({
      id: ids.get(node) ?? "",
      op: node.step.op,
      name: planned.nameOf(node),
      from,
      reads: [...reads, ...ownReads(node, planned)],
      writes: writesOf(node, planned),
      stores: stores
        .filter((store) => store.node === node && (store.subtopology === subtopology || store.subtopology === "global"))
        .map(({ spec }) => spec.name),
    });
  }
  return steps;
}

function ownReads(node: GraphNode, planned: Plan): string[] {
  const { step } = node;
  if (step.op === "stream" || step.op === "table" || step.op === "global-table") return [step.topic];
  if (step.op === "foreign-key-join") return [repartitionTopic(planned.application, `${planned.nameOf(node)}-response`)];
  return [];
}

/** Topics that a step's results go to, also those that stand before the steps after it. */
function writesOf(node: GraphNode, planned: Plan): string[] {
  const { step } = node;
  const topics = planned
    .childrenOf(node)
    .flatMap((child) => child.inputs.flatMap((input, i) => (input === node ? (planned.repartitionBefore(child, i) ?? []) : [])));
  if (step.op === "to" || step.op === "through") return [step.topic];
  if (step.op === "repartition") return [repartitionTopic(planned.application, planned.nameOf(node))];
  if (step.op === "aggregate" && step.lateTo !== undefined) topics.push(step.lateTo);
  return topics;
}
