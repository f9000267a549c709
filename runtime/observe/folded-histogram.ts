import { Histogram, type Registry } from "prom-client";
import { LATENCY_BOUNDS_MS, type LatencySnapshot } from "./latency-histogram.ts";

type Labels = Readonly<Record<string, string>>;

/** A Prometheus histogram, in seconds, of latencies counted elsewhere: prom-client's own can only be fed one by one. */
export class FoldedHistogram extends Histogram<string> {
  readonly #name: string;
  readonly #help: string;
  #samples: readonly (readonly [labels: Labels, snapshot: LatencySnapshot])[] = [];

  constructor(name: string, help: string, labelNames: readonly string[], registry: Registry) {
    super({ name, help, labelNames: [...labelNames], buckets: LATENCY_BOUNDS_MS.map((ms) => ms / 1000), registers: [registry] });
    this.#name = name;
    this.#help = help;
  }

  /** What the next scrape shows. */
  fold(samples: readonly (readonly [labels: Labels, snapshot: LatencySnapshot])[]): void {
    this.#samples = samples;
  }

  /** What prom-client's registry prints from; its types do not tell. */
  getForPromString() {
    const values = this.#samples.flatMap(([labels, snapshot]) => rows(this.#name, labels, snapshot));
    return { name: this.#name, help: this.#help, type: "histogram", values };
  }
}

function rows(name: string, labels: Labels, { counts, sumMs }: LatencySnapshot) {
  let below = 0;
  const buckets = counts.map((count, i) => {
    below += count;
    const bound = LATENCY_BOUNDS_MS[i];
    return { metricName: `${name}_bucket`, labels: { le: bound === undefined ? "+Inf" : String(bound / 1000), ...labels }, value: below };
  });
  return [...buckets, { metricName: `${name}_sum`, labels, value: sumMs / 1000 }, { metricName: `${name}_count`, labels, value: below }];
}
