import type { Codec, TaskContext } from "../topology/topology.ts";

/** Where late records go besides being counted: nowhere, or to a topic. */
export interface LateRecords {
  late(key: string, value: unknown, timestamp: number): void;
}

export function lateRecords(context: TaskContext, to: { readonly topic: string; readonly codec: Codec } | undefined): LateRecords {
  return {
    late(key, value, timestamp) {
      if (to !== undefined) context.emit(to.topic, to.codec, key, value, timestamp);
    },
  };
}
