import { Counter, Gauge, type Registry } from "prom-client";
import { FoldedHistogram } from "./folded-histogram.ts";
import type { TaskMetricsReport, WorkerMetrics } from "./worker-metrics.ts";

const TASK = ["function", "task"];
const COUNTERS = {
  processed: ["keyfold_process_total", "Records processed"],
  failures: ["keyfold_process_failures_total", "Records whose processing threw, each attempt counted"],
  retries: ["keyfold_process_retries_total", "Attempts repeated after a failure"],
  deadLettered: ["keyfold_dead_lettered_records_total", "Records given to a dead-letter topic"],
  punctuations: ["keyfold_punctuate_total", "Scheduled callbacks run"],
  commits: ["keyfold_commit_total", "Commits"],
  rollbacks: ["keyfold_rollback_total", "Returns to the last commit"],
} as const;

/** Series of tasks, stores and caches, by Kafka Streams' names where it has one. Counters start again with their worker, as Prometheus allows. */
export class TaskSeries {
  readonly #counters: readonly (readonly [keyof typeof COUNTERS, Counter])[];
  readonly #dropped: Counter;
  readonly #lag: Gauge;
  readonly #state: Gauge;
  readonly #remaining: Gauge;
  readonly #entries: Gauge;
  readonly #process: FoldedHistogram;
  readonly #commit: FoldedHistogram;
  readonly #workers: Gauge;
  readonly #heap: Gauge;
  readonly #iterators: { readonly open: Gauge; readonly oldest: Gauge };
  readonly #cache: { readonly used: Gauge; readonly dirty: Gauge; readonly hits: Counter; readonly misses: Counter; readonly ratio: Gauge };

  constructor(registry: Registry) {
    const registers = [registry];
    const gauge = (name: string, help: string, labelNames: string[]): Gauge => new Gauge({ name, help, labelNames, registers });
    const counter = (name: string, help: string, labelNames: string[]): Counter => new Counter({ name, help, labelNames, registers });
    this.#counters = Object.entries(COUNTERS).map(
      ([key, [name, help]]) => [key as keyof typeof COUNTERS, counter(name, help, TASK)] as const,
    );
    this.#dropped = counter("keyfold_dropped_records_total", "Records left out, by reason", [...TASK, "reason"]);
    this.#lag = gauge("keyfold_records_lag", "Records a task has still to read from its sources", ["function", "task", "partition"]);
    this.#state = gauge("keyfold_task_state", "1 for the state a task is in", [...TASK, "state"]);
    this.#remaining = gauge("keyfold_restore_remaining_records", "Changelog records a task has still to restore", [...TASK, "store"]);
    this.#entries = gauge("keyfold_store_entries", "Entries in a store, exact or estimated", [...TASK, "store"]);
    this.#process = new FoldedHistogram("keyfold_process_latency_seconds", "Time in a task for one batch of records", TASK, registry);
    this.#commit = new FoldedHistogram("keyfold_commit_latency_seconds", "Time of a commit", TASK, registry);
    this.#workers = gauge("keyfold_workers", "Worker threads that report", []);
    this.#heap = gauge("keyfold_worker_heap_bytes", "V8 heap a worker uses", ["worker"]);
    this.#iterators = {
      open: gauge("keyfold_store_iterators", "Iterators of stores that somebody reads: each pins memory and files", ["worker"]),
      oldest: gauge("keyfold_store_iterator_oldest_seconds", "How long the oldest of them has been open", ["worker"]),
    };
    this.#cache = {
      used: gauge("keyfold_cache_size_bytes", "Record cache in use", ["worker"]),
      dirty: gauge("keyfold_cache_dirty_bytes", "Record cache not yet flushed", ["worker"]),
      hits: counter("keyfold_cache_hits_total", "Reads answered from the record cache", ["worker"]),
      misses: counter("keyfold_cache_misses_total", "Reads that went to the store", ["worker"]),
      ratio: gauge("keyfold_cache_hit_ratio", "Share of reads answered from the record cache", ["worker"]),
    };
  }

  /** Replaces everything: a task or worker that is gone has no series any more. */
  fold(workers: readonly WorkerMetrics[]): void {
    this.#reset();
    this.#workers.set(workers.length);
    for (const { worker, heapBytes, iterators, cache } of workers) {
      const labels = { worker: String(worker) };
      this.#heap.set(labels, heapBytes);
      this.#iterators.open.set(labels, iterators.open);
      this.#iterators.oldest.set(labels, iterators.oldestMs / 1000);
      this.#cache.used.set(labels, cache.usedBytes);
      this.#cache.dirty.set(labels, cache.dirtyBytes);
      this.#cache.hits.inc(labels, cache.hits);
      this.#cache.misses.inc(labels, cache.misses);
      const reads = cache.hits + cache.misses;
      this.#cache.ratio.set(labels, reads === 0 ? 0 : cache.hits / reads);
    }
    const tasks = workers.flatMap((each) => each.tasks);
    for (const task of tasks) this.#foldTask(task);
    this.#process.fold(
      tasks.flatMap((each) => (each.processLatency === undefined ? [] : [[labelsOf(each), each.processLatency] as const])),
    );
    this.#commit.fold(tasks.flatMap((each) => (each.commitLatency === undefined ? [] : [[labelsOf(each), each.commitLatency] as const])));
  }

  #foldTask(task: TaskMetricsReport): void {
    const labels = labelsOf(task);
    for (const [key, counter] of this.#counters) counter.inc(labels, task.counters[key]);
    for (const [reason, count] of Object.entries(task.counters.dropped)) this.#dropped.inc({ ...labels, reason }, count);
    this.#lag.set({ ...labels, partition: String(task.partition) }, task.lag);
    this.#state.set({ ...labels, state: task.state }, 1);
    for (const [store, entries] of Object.entries(task.entries)) this.#entries.set({ ...labels, store }, entries);
    if (task.restore !== undefined)
      this.#remaining.set({ ...labels, store: task.restore.store }, Math.max(0, task.restore.end - task.restore.position));
  }

  #reset(): void {
    for (const [, counter] of this.#counters) counter.reset();
    const { used, dirty, hits, misses, ratio } = this.#cache;
    for (const series of [
      this.#dropped,
      this.#lag,
      this.#state,
      this.#remaining,
      this.#entries,
      this.#heap,
      this.#iterators.open,
      this.#iterators.oldest,
      used,
      dirty,
      hits,
      misses,
      ratio,
    ])
      series.reset();
  }
}

function labelsOf({ function: fn, task }: TaskMetricsReport): { function: string; task: string } {
  return { function: fn, task };
}
