/** Upper bounds of the buckets, ms; one more bucket has no bound. */
export const LATENCY_BOUNDS_MS: readonly number[] = [
  0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000,
];

/** What of a histogram crosses threads: counts by bucket (not cumulative), one more than there are bounds. */
export interface LatencySnapshot {
  readonly counts: readonly number[];
  readonly sumMs: number;
}

/** Latencies counted by bucket; observing one neither allocates nor looks anything up by name. */
export class LatencyHistogram {
  readonly #counts: number[] = LATENCY_BOUNDS_MS.map(() => 0).concat(0);
  #sumMs = 0;

  observe(ms: number): void {
    let low = 0;
    let high = LATENCY_BOUNDS_MS.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (ms <= (LATENCY_BOUNDS_MS[middle] ?? 0)) high = middle;
      else low = middle + 1;
    }
    this.#counts[low] = (this.#counts[low] ?? 0) + 1;
    this.#sumMs += ms;
  }

  snapshot(): LatencySnapshot {
    return { counts: [...this.#counts], sumMs: this.#sumMs };
  }
}
