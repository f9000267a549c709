import { Counter, type Registry } from "prom-client";

const SERIES = {
  recordsAppended: ["keyfold_log_appended_records_total", "Records appended to the log"],
  bytesAppended: ["keyfold_log_appended_bytes_total", "Bytes of batches appended to the log"],
  fetches: ["keyfold_log_fetches_total", "Fetches answered"],
  bytesFetched: ["keyfold_log_fetched_bytes_total", "Bytes of batches fetched from the log"],
  writes: ["keyfold_log_writes_total", "Writes to storage, each of a group of appends"],
  syncs: ["keyfold_log_syncs_total", "Times the log was forced to the disk"],
  commits: ["keyfold_log_commits_total", "Commits of tasks"],
  transactions: ["keyfold_log_transactions_total", "Commits that were transactions"],
  recordsCompacted: ["keyfold_log_compacted_records_total", "Records dropped by compaction"],
  batchesDeleted: ["keyfold_log_deleted_batches_total", "Batches deleted by retention"],
  retries: ["keyfold_log_retries_total", "Requests to Kafka that failed and were repeated"],
} as const;

/** Counters of a log since it was opened; what one does not count is left out. */
export type LogMetrics = Partial<Readonly<Record<keyof typeof SERIES, number>>> & {
  /** Requests to Kafka by their name. */
  readonly requests?: Readonly<Record<string, number>>;
};

/** Series of the logs: the host's own, and on Kafka one of each worker (label `worker`). Counters start again with their worker. */
export class LogSeries {
  readonly #counters: ReadonlyMap<string, Counter>;
  readonly #requests: Counter;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#counters = new Map(
      Object.entries(SERIES).map(([key, [name, help]]) => [key, new Counter({ name, help, labelNames: ["log", "worker"], registers })]),
    );
    const help = "Requests sent to Kafka, by name, repetitions included";
    this.#requests = new Counter({ name: "keyfold_kafka_requests_total", help, labelNames: ["request", "worker"], registers });
  }

  /** Replaces everything. `workers`: logs that workers have opened for themselves. */
  fold(kind: "embedded" | "kafka", host: LogMetrics, workers: readonly { readonly worker: number; readonly log: LogMetrics }[]): void {
    for (const counter of [...this.#counters.values(), this.#requests]) counter.reset();
    this.#add(kind, host, {});
    for (const { worker, log } of workers) this.#add(kind, log, { worker: String(worker) });
  }

  #add(kind: string, { requests = {}, ...counters }: LogMetrics, labels: { readonly worker?: string }): void {
    for (const [key, value] of Object.entries(counters)) this.#counters.get(key)?.inc({ log: kind, ...labels }, value);
    for (const [request, count] of Object.entries(requests)) this.#requests.inc({ request, ...labels }, count);
  }
}
