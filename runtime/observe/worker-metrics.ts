import type { LatencySnapshot } from "./latency-histogram.ts";

/** What a worker reports of itself: plain numbers since its start, so that they cross threads as they are. */
export interface WorkerMetrics {
  readonly worker: number;
  readonly heapBytes: number;
  /** Iterators of its stores that somebody reads, and how long the oldest has been open, ms. */
  readonly iterators: { readonly open: number; readonly oldestMs: number };
  /** The record cache over all its stores. */
  readonly cache: { readonly usedBytes: number; readonly dirtyBytes: number; readonly hits: number; readonly misses: number };
  readonly tasks: readonly TaskMetricsReport[];
}

export interface TaskMetricsReport {
  readonly function: string;
  readonly task: string;
  readonly partition: number;
  readonly state: string;
  /** Records between the position and the end of its sources. */
  readonly lag: number;
  readonly restore?: { readonly store: string; readonly position: number; readonly end: number };
  /** Entries by store. */
  readonly entries: Readonly<Record<string, number>>;
  readonly counters: {
    readonly processed: number;
    readonly failures: number;
    readonly retries: number;
    readonly deadLettered: number;
    readonly punctuations: number;
    readonly commits: number;
    readonly rollbacks: number;
    /** By reason. */
    readonly dropped: Readonly<Record<string, number>>;
  };
  readonly processLatency?: LatencySnapshot;
  readonly commitLatency?: LatencySnapshot;
}
