import type { FunctionSettings } from "../config/resolved.ts";
import { DEFINITION, type FunctionDefinition, type GraphDefinition, type ReducerDefinition } from "../define/definition.ts";
import { reducerDefinition } from "../define/definitions.ts";
import type { ReducerOptions } from "../define/function.ts";
import { type HasNode, NODE } from "../define/graph.ts";
import { KeyfoldError } from "../errors.ts";
import { compileDefinition } from "./compile-definition.ts";
import { compileReducer } from "./compile-reducer.ts";
import { compileReducerGraph, needsGraph } from "./compile-reducer-graph.ts";
import type { Topology } from "./topology.ts";

export interface CompileOptions {
  /** The function's name: its file's name. */
  readonly name: string;
  /** `<config name>-<function>` */
  readonly application: string;
  /** The config's settings of this function; they win over those in its file. */
  readonly settings: FunctionSettings;
}

export interface Compiled {
  readonly topology: Topology;
  /** Source topic and store that an invoke uses; absent when the state is not one step from its source. */
  readonly invoke?: { readonly topic: string; readonly store: string };
  /** Store that key reads use; absent when no state is kept. */
  readonly queryStore?: string;
  readonly schemaVersion: number;
  /** The function's own settings with the config's over them. */
  readonly settings: FunctionSettings;
}

/**
 * What a function's file exports, as a topology. Pure: opens nothing, runs no user code.
 * @throws KeyfoldError `function-invalid` or `topology-invalid`, naming the function.
 */
export function compile(exported: unknown, options: CompileOptions): Compiled {
  const definition = definitionOf(exported, options.name);
  if (definition[DEFINITION] === "graph") return compileDefinition(definition, options);
  return needsGraph(definition) ? compileReducerGraph(definition, options) : compileReducer(definition, options);
}

function definitionOf(exported: unknown, name: string): ReducerDefinition | GraphDefinition {
  if (typeof exported === "function") return reducerDefinition({ reduce: exported as ReducerOptions["reduce"] });
  if (typeof exported === "object" && exported !== null) {
    if (DEFINITION in exported) return exported as FunctionDefinition as ReducerDefinition | GraphDefinition;
    if ("reduce" in exported) return reducerDefinition(exported as ReducerOptions);
    if (NODE in exported) {
      return { [DEFINITION]: "graph", roots: [(exported as HasNode)[NODE]], query: undefined, schemaVersion: 1, settings: {} };
    }
  }
  throw new KeyfoldError(
    "function-invalid",
    `function "${name}": the default export must be what defineFunction(...) returns, or a reducer (state, event, ctx) => state; it is ${
      exported === undefined ? "missing" : `a ${exported === null ? "null" : typeof exported}`
    }`,
    { details: { function: name } },
  );
}
