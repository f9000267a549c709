import { KeyfoldError } from "../errors.ts";
import type { TaskStore } from "../state/store.ts";
import type { RecordContext, TaskContext } from "../topology/topology.ts";
import type { Collector } from "./collector.ts";
import type { Schedules } from "./schedules.ts";
import type { TaskMetrics } from "./task-metrics.ts";
import type { TaskOptions } from "./task-options.ts";

export interface TaskParts {
  readonly id: string;
  readonly record: RecordContext;
  readonly collector: Collector;
  readonly schedules: Schedules;
  readonly metrics: TaskMetrics;
  readonly signal: AbortSignal;
  readonly streamTime: () => number;
}

/** A task as its processors see it. */
export function createTaskContext(options: TaskOptions, parts: TaskParts): TaskContext {
  const { stores, function: name, partition, wallClock, logger, frozen, scheduleStart } = options;
  const anchor = scheduleStart === undefined ? {} : { start: scheduleStart };
  const { id, record, collector, schedules, metrics, signal, streamTime } = parts;
  const store = <V>(storeName: string): TaskStore<V> => {
    const found = stores.get(storeName);
    if (found === undefined) {
      throw new KeyfoldError(
        "store-unknown",
        `function ${name} has no store ${JSON.stringify(storeName)}; it has ${[...stores.keys()].join(", ") || "none"}`,
      );
    }
    return found as TaskStore<V>;
  };
  return {
    function: name,
    task: id,
    partition,
    record,
    get streamTime() {
      return streamTime();
    },
    wallClock,
    store,
    globalStore: store,
    emit: (topic, codec, key, value, timestamp, headers, target) =>
      collector.emit(topic, codec, key, value, timestamp, headers ?? null, target),
    schedule: (interval, type, callback) =>
      schedules.add(interval, type, { now: wallClock(), streamTime: streamTime(), ...anchor }, callback),
    dropped: (reason) => metrics.drop(reason),
    log: logger,
    signal,
    frozen,
  };
}
