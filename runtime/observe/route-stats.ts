import { LatencyHistogram } from "./latency-histogram.ts";

/** Answers of one HTTP route, by the hundreds of their status, and how long they took: two additions a request. */
export class RouteStats {
  readonly listener: string;
  readonly method: string;
  readonly route: string;
  /** Index 2: answers 200-299, and so on. */
  readonly statuses: number[] = [0, 0, 0, 0, 0, 0];
  readonly latency = new LatencyHistogram();

  constructor(listener: string, method: string, route: string) {
    this.listener = listener;
    this.method = method;
    this.route = route;
  }

  observe(status: number, ms: number): void {
    const hundreds = (status / 100) | 0;
    this.statuses[hundreds] = (this.statuses[hundreds] ?? 0) + 1;
    this.latency.observe(ms);
  }
}
