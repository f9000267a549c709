import type { FunctionSettings } from "../config/resolved.ts";
import type { ReducerDefinition } from "../define/definition.ts";
import { KeyfoldError } from "../errors.ts";
import { keyedReduce } from "../operators/keyed-reduce.ts";
import type { Compiled, CompileOptions } from "./compile.ts";
import { storeSpec } from "./store-spec.ts";
import type { SinkSpec, Subtopology } from "./topology.ts";

/** Name of a reducer's store unless its author gave one. */
export const STATE_STORE = "state";

/** A plain reducer over topics: one subtopology, one store, perhaps a sink. */
export function compileReducer(definition: ReducerDefinition, { name, settings: fromConfig }: CompileOptions): Compiled {
  const settings: FunctionSettings = { ...definition.settings, ...fromConfig };
  const topics = sourceTopics(settings.source, name);
  const store = storeSpec(definition.store.name ?? STATE_STORE, definition.store, {
    schemaVersion: definition.schemaVersion,
    ...(definition.migrate === undefined ? {} : { migrate: definition.migrate }),
  });
  const sink: SinkSpec | undefined = settings.sink === undefined ? undefined : { topic: settings.sink, codec: definition.sinkCodec };
  const subtopology: Subtopology = {
    id: 0,
    sources: topics.map((topic) => ({
      topic,
      codec: definition.sourceCodec,
      prefetch: store.name,
      ...(definition.timestamp === undefined ? {} : { timestamp: definition.timestamp }),
    })),
    stores: [store],
    sinks: sink === undefined ? [] : [sink],
    repartitions: [],
    steps: [
      ...topics.map((topic) => ({ id: `stream-${topic}`, op: "stream", name: topic, from: [], reads: [topic], writes: [], stores: [] })),
      {
        id: "reduce",
        op: "reduce",
        name: store.name,
        from: topics.map((topic) => `stream-${topic}`),
        reads: [],
        writes: sink === undefined ? [] : [sink.topic],
        stores: [store.name],
      },
    ],
    build: keyedReduce(definition, { store: store.name, ...(sink === undefined ? {} : { sink }) }),
  };
  const [topic] = topics;
  return {
    topology: { function: name, subtopologies: [subtopology] },
    ...(topic === undefined ? {} : { invoke: { topic, store: store.name } }),
    queryStore: store.name,
    schemaVersion: definition.schemaVersion,
    settings,
  };
}

/** The topics of a reducer, from its file or the config. */
export function sourceTopics(source: FunctionSettings["source"], name: string): readonly string[] {
  const topics = source === undefined ? [] : typeof source === "string" ? [source] : [...new Set(source)];
  if (topics.length === 0 || topics.some((topic) => typeof topic !== "string" || topic === "")) {
    throw new KeyfoldError(
      "function-invalid",
      `function "${name}" has no source: name the topic it reads as \`source\` in defineFunction({ ... }), or under functions.${name}.source in the config`,
      { details: { function: name } },
    );
  }
  return topics;
}
