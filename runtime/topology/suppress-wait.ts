import type { GraphNode } from "../define/graph.ts";
import { KeyfoldError } from "../errors.ts";
import { inputOf } from "./materialize.ts";

/** How long past an entry's time a suppression holds it: the grace of its windows, or the time limit. */
export function suppressWait(node: GraphNode): number {
  if (node.step.op !== "suppress") return 0;
  if (node.step.until.kind === "time-limit") return node.step.until.waitMs;
  for (let at = inputOf(node); ; at = inputOf(at)) {
    if (at.step.op === "aggregate" && at.step.window !== undefined) {
      const { window } = at.step;
      return window.kind === "session" ? window.gapMs + window.graceMs : window.graceMs;
    }
    const passes =
      at.step.op === "table-filter" || at.step.op === "table-map-values" || at.step.op === "suppress" || at.step.op === "table-join";
    if (!passes)
      throw new KeyfoldError(
        "topology-invalid",
        "suppress until the window closes: only the result of a windowed aggregation has windows that close",
      );
  }
}
