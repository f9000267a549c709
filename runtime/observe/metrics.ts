import { monitorEventLoopDelay } from "node:perf_hooks";
import { Counter, Gauge, Registry } from "prom-client";
import { FoldedHistogram } from "./folded-histogram.ts";
import { type LogMetrics, LogSeries } from "./log-series.ts";
import { RouteStats } from "./route-stats.ts";
import { TaskSeries } from "./task-series.ts";
import type { WorkerMetrics } from "./worker-metrics.ts";

/** What the host shows under `/metrics`. Everything is kept as plain numbers and put into Prometheus' form at a scrape. */
export interface Metrics {
  readonly contentType: string;
  /** The numbers of one HTTP route; asked once per route, counted into by every request. */
  readonly route: (listener: string, method: string, path: string) => RouteStats;
  /** Replaces what the workers reported before. */
  workers(reports: readonly WorkerMetrics[]): void;
  /** 1 for the state a function is in. */
  functions(states: readonly { readonly name: string; readonly version: string; readonly state: string }[]): void;
  /** The host's own log and, where workers open one for themselves, theirs. */
  log(kind: "embedded" | "kafka", host: LogMetrics, workers?: readonly { readonly worker: number; readonly log: LogMetrics }[]): void;
  /** Where to look, at each scrape, for the number of open live streams and of those dropped for being slow. */
  live(clients: { readonly size: number; readonly dropped: number }): void;
  /** Records a task has just restored from a changelog. */
  restored(fn: string, store: string, records: number): void;
  /** Prometheus text format 0.0.4. */
  text(): Promise<string>;
  /** Stops measuring the event loop. Twice is harmless. */
  close(): void;
}

const NS = 1e9;
/** The event loop is sampled so often, and an undisturbed sample is as long. */
const DELAY_RESOLUTION_MS = 20;

export function createMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const tasks = new TaskSeries(registry);
  const routes: RouteStats[] = [];
  const delay = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS });
  delay.enable();

  const requests = new Counter({
    name: "keyfold_http_requests_total",
    help: "HTTP requests answered, by route and hundreds of the status",
    labelNames: ["listener", "method", "route", "status"],
    registers,
  });
  const latency = new FoldedHistogram(
    "keyfold_http_request_duration_seconds",
    "Time to an answer's head",
    ["listener", "method", "route"],
    registry,
  );
  const states = new Gauge({
    name: "keyfold_function_state",
    help: "1 for the state a function is in",
    labelNames: ["function", "version", "state"],
    registers,
  });
  const clients = new Gauge({ name: "keyfold_live_clients", help: "Open live streams", registers });
  const dropped = new Counter({
    name: "keyfold_live_clients_dropped_total",
    help: "Live streams ended because their client was too slow",
    registers,
  });
  const restored = new Counter({
    name: "keyfold_restore_records_total",
    help: "Changelog records restored",
    labelNames: ["function", "store"],
    registers,
  });
  const logs = new LogSeries(registry);
  const memory = new Gauge({ name: "keyfold_process_resident_memory_bytes", help: "Resident memory of the host process", registers });
  const heap = new Gauge({ name: "keyfold_main_heap_bytes", help: "V8 heap the main thread uses", registers });
  const cpu = new Counter({ name: "keyfold_process_cpu_seconds_total", help: "CPU time of the host process, all threads", registers });
  const lag = new Gauge({
    name: "keyfold_event_loop_delay_seconds",
    help: "Delay of the main thread's event loop since the last scrape",
    labelNames: ["quantile"],
    registers,
  });
  const uptime = new Gauge({ name: "keyfold_uptime_seconds", help: "Time since the process began", registers });

  let streams: { readonly size: number; readonly dropped: number } = { size: 0, dropped: 0 };

  const scrape = (): void => {
    clients.set(streams.size);
    dropped.reset();
    dropped.inc(streams.dropped);
    requests.reset();
    for (const { listener, method, route, statuses } of routes) {
      statuses.forEach((count, hundreds) => {
        if (count > 0) requests.inc({ listener, method, route, status: `${hundreds}xx` }, count);
      });
    }
    latency.fold(
      routes.map((stats) => [{ listener: stats.listener, method: stats.method, route: stats.route }, stats.latency.snapshot()] as const),
    );
    const { rss, heapUsed } = process.memoryUsage();
    memory.set(rss);
    heap.set(heapUsed);
    const used = process.cpuUsage();
    cpu.reset();
    cpu.inc((used.user + used.system) / 1e6);
    for (const quantile of [50, 99, 100])
      lag.set({ quantile: String(quantile / 100) }, Math.max(0, (delay.percentile(quantile) || 0) / NS - DELAY_RESOLUTION_MS / 1000));
    delay.reset();
    uptime.set(process.uptime());
  };

  return {
    contentType: registry.contentType,
    route: (listener, method, path) => {
      const stats = new RouteStats(listener, method, path);
      routes.push(stats);
      return stats;
    },
    workers: (reports) => tasks.fold(reports),
    functions: (all) => {
      states.reset();
      for (const { name, version, state } of all) states.set({ function: name, version, state }, 1);
    },
    log: (kind, host, workers = []) => logs.fold(kind, host, workers),
    live: (source) => {
      streams = source;
    },
    restored: (fn, store, records) => restored.inc({ function: fn, store }, records),
    text: () => {
      scrape();
      return registry.metrics();
    },
    close: () => {
      delay.disable();
    },
  };
}
