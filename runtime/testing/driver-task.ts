import { join } from "node:path";
import type { FunctionSettings } from "../config/resolved.ts";
import type { MemoryLog } from "../log/memory-log.ts";
import { decodeBatches, type RecordBatch } from "../log/record-batch.ts";
import { openStore } from "../state/open-store.ts";
import { RecordCache } from "../state/record-cache.ts";
import type { TaskStore } from "../state/store.ts";
import type { TaskInput } from "../task/input.ts";
import { Task } from "../task/task.ts";
import { changelogTopic } from "../topology/names.ts";
import type { Subtopology, TaskLogger } from "../topology/topology.ts";

export interface DriverTaskOptions {
  readonly function: string;
  readonly application: string;
  readonly settings: FunctionSettings;
  readonly subtopology: Subtopology;
  /** Topics that the function reads. */
  readonly sources: ReadonlySet<string>;
  readonly log: MemoryLog;
  readonly dir: string;
  readonly cacheBytes: number;
  readonly atomic: boolean;
  readonly freeze: boolean;
  readonly deadLetterTopic: string;
  /** Its entry goes with dead letters. */
  readonly invokeStore: string | undefined;
  readonly now: () => number;
  readonly start: number;
  readonly logger: TaskLogger;
}

const NEVER = Number.MAX_SAFE_INTEGER;

/** One task of the function under test, with its real stores, restored from the log. */
export class DriverTask {
  readonly task: Task;
  readonly stores: ReadonlyMap<string, TaskStore>;
  /** Topics of records that it sent to the function itself and that are not yet in the log, in order. */
  readonly sent: string[];
  readonly #log: MemoryLog;

  private constructor(task: Task, stores: ReadonlyMap<string, TaskStore>, sent: string[], log: MemoryLog) {
    this.task = task;
    this.stores = stores;
    this.sent = sent;
    this.#log = log;
  }

  static async open(options: DriverTaskOptions): Promise<DriverTask> {
    const { log, application, subtopology, settings, now } = options;
    const cache = new RecordCache(options.cacheBytes);
    const stores = new Map<string, TaskStore>();
    for (const spec of subtopology.stores) {
      const store = await openStore(spec, {
        dir: join(options.dir, `${subtopology.id}_0`),
        task: `${subtopology.id}_0`,
        cache,
        memoryBytes: 4 * 1024 * 1024,
        stateMaxBytes: 1024 * 1024,
        now,
        deleteRetentionMs: NEVER,
        freeze: options.freeze,
      });
      stores.set(spec.name, store);
      if (spec.logged) restore(store, log, changelogTopic(application, spec.name));
    }
    const topics = [...subtopology.sources, ...subtopology.sinks, ...subtopology.repartitions].map(({ topic }) => topic);
    const sent: string[] = [];
    const task = new Task({
      function: options.function,
      version: "test",
      application,
      subtopology: noticing(subtopology, options.sources, sent),
      partition: 0,
      stores,
      partitions: new Map(topics.map((topic) => [topic, 1])),
      onError: settings.onError ?? "dead-letter",
      retries: settings.retries ?? 5,
      backoffMs: settings["retry.backoff.ms"] ?? 100,
      deadLetterTopic: options.deadLetterTopic,
      maxInFlightKeys: settings["max.in.flight.keys"] ?? 64,
      maxTaskIdleMs: -1,
      atomic: options.atomic,
      frozen: options.freeze,
      wallClock: now,
      scheduleStart: options.start,
      logger: options.logger,
      ...(options.invokeStore !== undefined && stores.has(options.invokeStore) ? { invokeStore: options.invokeStore } : {}),
    });
    const committed = task.inputs.map((input) => (input.source.global ? undefined : log.committed(application, input.topic, 0)));
    task.start(
      committed,
      task.inputs.map(() => 0),
    );
    return new DriverTask(task, stores, sent, log);
  }

  /** Hands the next record of a topic to the task; false when there is none. */
  loadOne(input: TaskInput): boolean {
    const { data, next } = this.#log.fetch(input.topic, input.partition, input.fetchPosition);
    if (next === input.fetchPosition) return false;
    const batch = decodeBatches(data, { from: input.fetchPosition });
    const offset = batch.offsets[0];
    if (offset === undefined) return false;
    input.load(firstRow(batch), offset + 1);
    return true;
  }

  /** Timestamp of the next record of an input; undefined when there is none. */
  peek(input: TaskInput): number | undefined {
    const { data, next } = this.#log.fetch(input.topic, input.partition, input.fetchPosition);
    return next === input.fetchPosition ? undefined : decodeBatches(data, { from: input.fetchPosition }).timestamps[0];
  }

  async close(): Promise<void> {
    this.task.close();
    for (const store of this.stores.values()) await store.close();
  }
}

function firstRow(batch: RecordBatch): RecordBatch {
  return { ...batch, length: 1, ...(batch.headers === undefined ? {} : { headers: batch.headers.slice(0, 1) }) };
}

function restore(store: TaskStore, log: MemoryLog, topic: string): void {
  log.ensureTopic({ name: topic, partitions: 1 });
  const from = store.position()?.offset ?? 0;
  const { data, next } = log.fetch(topic, 0, from);
  if (next > from) store.restore(decodeBatches(data, { from }), next);
}

/** The subtopology, with a note made of each record it sends to a topic that the function reads itself. */
function noticing(subtopology: Subtopology, sources: ReadonlySet<string>, sent: string[]): Subtopology {
  return {
    ...subtopology,
    build: (context) =>
      subtopology.build(
        Object.create(context, {
          emit: {
            value: ((topic, codec, key, value, timestamp, headers, partition) => {
              context.emit(topic, codec, key, value, timestamp, headers, partition);
              if (sources.has(topic)) sent.push(topic);
            }) satisfies typeof context.emit,
          },
        }),
      ),
  };
}
