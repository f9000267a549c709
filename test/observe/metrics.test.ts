import assert from "node:assert/strict";
import { test } from "node:test";
import { LATENCY_BOUNDS_MS, LatencyHistogram } from "../../runtime/observe/latency-histogram.ts";
import { createMetrics } from "../../runtime/observe/metrics.ts";
import type { WorkerMetrics } from "../../runtime/observe/worker-metrics.ts";

function report(worker: number, task: string, processed: number): WorkerMetrics {
  const processLatency = new LatencyHistogram();
  processLatency.observe(2);
  return {
    worker,
    heapBytes: 1_000,
    iterators: { open: 2, oldestMs: 1_500 },
    cache: { usedBytes: 10, dirtyBytes: 5, hits: 3, misses: 1 },
    tasks: [
      {
        function: "airport-stats",
        task,
        partition: 0,
        state: "RUNNING",
        lag: 7,
        restore: { store: "s", position: 40, end: 100 },
        entries: { s: 12 },
        counters: { processed, failures: 1, retries: 2, deadLettered: 3, punctuations: 4, commits: 5, rollbacks: 6, dropped: { late: 8 } },
        processLatency: processLatency.snapshot(),
      },
    ],
  };
}

/** `name{labels}` → value. */
async function scrape(metrics: { text(): Promise<string> }): Promise<Map<string, number>> {
  const text = await metrics.text();
  for (const line of text.split("\n")) assert.match(line, /^$|^# (HELP|TYPE) keyfold_|^keyfold_[a-z_]+(\{.*\})? [\d.e+-]+$/);
  return new Map(
    text
      .split("\n")
      .flatMap((line) =>
        line === "" || line.startsWith("#")
          ? []
          : [[line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ") + 1))] as const],
      ),
  );
}

test("workers' reports are folded, and what is gone has no series", async () => {
  const metrics = createMetrics();
  metrics.workers([report(0, "0_0", 10), report(1, "0_1", 20)]);
  const first = await scrape(metrics);
  assert.equal(first.get('keyfold_process_total{function="airport-stats",task="0_1"}'), 20);
  assert.equal(first.get('keyfold_dropped_records_total{function="airport-stats",task="0_0",reason="late"}'), 8);
  assert.equal(first.get('keyfold_records_lag{function="airport-stats",task="0_0",partition="0"}'), 7);
  assert.equal(first.get('keyfold_restore_remaining_records{function="airport-stats",task="0_0",store="s"}'), 60);
  assert.equal(first.get('keyfold_cache_hit_ratio{worker="1"}'), 0.75);
  assert.equal(first.get("keyfold_workers"), 2);
  assert.equal(first.get('keyfold_process_latency_seconds_bucket{le="0.001",function="airport-stats",task="0_0"}'), 0);
  assert.equal(first.get('keyfold_process_latency_seconds_bucket{le="0.0025",function="airport-stats",task="0_0"}'), 1);
  metrics.workers([report(1, "0_1", 25)]);
  const second = await scrape(metrics);
  assert.equal(second.get('keyfold_process_total{function="airport-stats",task="0_1"}'), 25);
  assert.equal([...second.keys()].filter((key) => key.includes('"0_0"')).length, 0);
  metrics.close();
  metrics.close();
});

test("routes, logs, functions, live streams, restores and the process", async () => {
  const metrics = createMetrics();
  const stats = metrics.route("public", "POST", "/v1/x");
  stats.observe(200, 0.2);
  stats.observe(204, 3);
  stats.observe(503, 40_000);
  metrics.log("embedded", { recordsAppended: 5, syncs: 2 });
  metrics.log("embedded", { recordsAppended: 6, syncs: 2 });
  metrics.functions([{ name: "f", version: "v", state: "RUNNING" }]);
  metrics.live({ size: 3, dropped: 1 });
  metrics.restored("f", "s", 10);
  metrics.restored("f", "s", 5);
  const values = await scrape(metrics);
  assert.equal(values.get('keyfold_http_requests_total{listener="public",method="POST",route="/v1/x",status="2xx"}'), 2);
  assert.equal(values.get('keyfold_http_requests_total{listener="public",method="POST",route="/v1/x",status="5xx"}'), 1);
  const bucket = (le: string): number | undefined =>
    values.get(`keyfold_http_request_duration_seconds_bucket{le="${le}",listener="public",method="POST",route="/v1/x"}`);
  assert.deepEqual([bucket("0.0001"), bucket("0.00025"), bucket("0.005"), bucket("30"), bucket("+Inf")], [0, 1, 2, 2, 3]);
  assert.equal(values.get('keyfold_log_appended_records_total{log="embedded"}'), 6);
  assert.equal(values.get('keyfold_function_state{function="f",version="v",state="RUNNING"}'), 1);
  assert.equal(values.get("keyfold_live_clients"), 3);
  assert.equal(values.get('keyfold_restore_records_total{function="f",store="s"}'), 15);
  assert.ok((values.get("keyfold_process_resident_memory_bytes") ?? 0) > 1e6);
  assert.ok(values.has('keyfold_event_loop_delay_seconds{quantile="0.99"}'));
  metrics.close();
});

test("a latency falls into the first bucket that holds it", () => {
  for (const [i, bound] of LATENCY_BOUNDS_MS.entries()) {
    const histogram = new LatencyHistogram();
    histogram.observe(bound);
    histogram.observe(bound + 1e-9);
    const { counts } = histogram.snapshot();
    assert.equal(counts[i], 1);
    assert.equal(counts[i + 1], 1);
    assert.equal(counts.length, LATENCY_BOUNDS_MS.length + 1);
  }
});
