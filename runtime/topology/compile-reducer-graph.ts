import type { FunctionSettings } from "../config/resolved.ts";
import { json } from "../define/codecs.ts";
import type { ReducerDefinition } from "../define/definition.ts";
import { type AggregateFns, addNode, type GraphNode } from "../define/graph.ts";
import { KeyfoldError } from "../errors.ts";
import { RecordReduceContext } from "../operators/reduce-context.ts";
import type { Compiled, CompileOptions } from "./compile.ts";
import { compileGraph } from "./compile-graph.ts";
import { STATE_STORE, sourceTopics } from "./compile-reducer.ts";
import type { TaskContext } from "./topology.ts";

/** A reducer that needs more than its key's state: steps before it, windows, tables, history or a time to live. */
export function needsGraph(definition: ReducerDefinition): boolean {
  const { stream, window, tables, ttl, store } = definition;
  return stream !== undefined || window !== undefined || tables.length > 0 || ttl !== undefined || store.history !== undefined;
}

/** Such a reducer compiles to the same graph as the steps that say the same. */
export function compileReducerGraph(definition: ReducerDefinition, options: CompileOptions): Compiled {
  const settings: FunctionSettings = { ...definition.settings, ...options.settings };
  if (definition.reduce.constructor.name === "AsyncFunction") {
    throw new KeyfoldError(
      "function-invalid",
      `function "${options.name}": an async reducer needs a plain topic as its source, and no window, table, history or ttl`,
      {
        details: { function: options.name },
      },
    );
  }
  const name = definition.store.name ?? STATE_STORE;
  const topics = definition.stream === undefined ? sourceTopics(settings.source, options.name) : [];
  const source = definition.stream ?? merged(topics, definition);
  const input = definition.tables.length === 0 ? source : addNode({ op: "with-tables" }, [source, ...definition.tables], `${name}-input`);
  const store = {
    ...definition.store,
    name,
    schemaVersion: definition.schemaVersion,
    ...(definition.migrate === undefined ? {} : { migrate: definition.migrate }),
  };
  const { window, emit, lateTo, ttl } = definition;
  const state = addNode({ op: "aggregate", by: undefined, window, emit, lateTo, ttl, fns: reducerFns(definition), store }, [input]);
  const root = settings.sink === undefined ? state : addNode({ op: "to", topic: settings.sink, codec: definition.sinkCodec }, [state]);
  try {
    const { topology, plan } = compileGraph([root], options);
    const [topic] = topics;
    const direct = topic !== undefined && window === undefined && plan.repartitionBefore(state, 0) === undefined;
    return {
      topology,
      ...(direct ? { invoke: { topic, store: name } } : {}),
      queryStore: name,
      schemaVersion: definition.schemaVersion,
      settings,
    };
  } finally {
    // Compiling twice must find the author's steps, and not those that were added here.
    if (input !== source) for (const from of input.inputs) remove(from.children, input);
    remove(input.children, state);
  }
}

function merged(topics: readonly string[], definition: ReducerDefinition): GraphNode {
  const streams = topics.map((topic) =>
    addNode({ op: "stream", topic, codec: definition.sourceCodec, timestamp: definition.timestamp }, []),
  );
  return streams.reduce((left, right) => addNode({ op: "merge" }, [left, right]));
}

function reducerFns(definition: ReducerDefinition): AggregateFns {
  const { reduce, initial, merge, sinkCodec } = definition;
  const unbound = (): never => {
    throw new TypeError("a reducer runs in a task");
  };
  return {
    init: initial === undefined ? undefined : () => structuredClone(initial),
    add: unbound,
    first: "init",
    bind(context: TaskContext): AggregateFns {
      const ctx = new RecordReduceContext(context, { codec: (topic) => (topic === definition.settings.sink ? sinkCodec : json) });
      return {
        init: initial === undefined ? undefined : () => structuredClone(initial),
        first: "init",
        add(state, event, key) {
          const next = reduce(state, event, ctx.at(key as string, context.record.timestamp));
          if (typeof next === "object" && next !== null && "then" in next && typeof next.then === "function") {
            throw new KeyfoldError(
              "state-unstorable",
              `the reducer returned a promise for key ${JSON.stringify(key)}; over steps, windows, tables or a ttl a reducer must be synchronous`,
            );
          }
          return next;
        },
        ...(merge === undefined ? {} : { merge }),
      };
    },
  };
}

function remove(children: GraphNode[], child: GraphNode): void {
  const at = children.lastIndexOf(child);
  if (at >= 0) children.splice(at, 1);
}
