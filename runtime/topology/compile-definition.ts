import type { GraphDefinition } from "../define/definition.ts";
import { KeyfoldError } from "../errors.ts";
import type { Compiled, CompileOptions } from "./compile.ts";
import { compileGraph } from "./compile-graph.ts";

/** A function made of steps or of a processor. */
export function compileDefinition(definition: GraphDefinition, options: CompileOptions): Compiled {
  const { topology, stores } = compileGraph(definition.roots, options);
  const visible = stores.filter((store) => store.visible && store.subtopology !== "global").map(({ spec }) => spec.name);
  const query = definition.query ?? (visible.length === 1 ? visible[0] : undefined);
  if (query !== undefined && !visible.includes(query)) {
    throw new KeyfoldError(
      "topology-invalid",
      `function "${options.name}": query: there is no store "${query}"; there are ${visible.join(", ") || "none"}`,
      {
        details: { function: options.name, query, stores: visible },
      },
    );
  }
  return {
    topology,
    ...(query === undefined ? {} : { queryStore: query }),
    schemaVersion: definition.schemaVersion,
    settings: { ...definition.settings, ...options.settings },
  };
}
