import type { Codec, TaskContext } from "../topology/topology.ts";
import type { StreamTarget, TableTarget } from "./targets.ts";

/** Writes records to a topic. */
export function streamSink(topic: string, codec: Codec, context: TaskContext): StreamTarget {
  return {
    process(key, value, timestamp) {
      context.emit(topic, codec, key, value, timestamp);
    },
  };
}

/** Writes a table's updates to a topic: rows, and null for deletions. */
export function tableSink(topic: string, codec: Codec, context: TaskContext): TableTarget {
  return {
    update(key, value, _old, timestamp) {
      context.emit(topic, codec, key, value, timestamp);
    },
  };
}

/** To a repartition topic; a record without a key has no partition there and is left out. */
export function repartitionSink(topic: string, codec: Codec, context: TaskContext): StreamTarget {
  return {
    process(key, value, timestamp) {
      if (key !== null) context.emit(topic, codec, key, value, timestamp);
    },
  };
}
