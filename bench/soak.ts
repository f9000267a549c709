/**
 * Minutes of mixed load on a real `keyfold start` process: appends (arrays and NDJSON), invokes, reads, pages, live streams that
 * come and go, records that fail. Samples memory, file descriptors, iterators and lag, and prints one JSON line for each; then the means
 * of each minute, and last the slopes over the second half. Not a test: `node --conditions=keyfold-source bench/soak.ts [minutes] [events a second]`
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const minutes = Number(process.argv[2] ?? 10);
const rate = Number(process.argv[3] ?? 2_000);
const SAMPLE_MS = 5_000;
const KEYS = 20_000;

const FUNCTIONS = {
  totals: `
import { defineFunction } from "keyfold";
export default defineFunction<{ by: number; bad?: boolean; end?: boolean }, { sum: number; last: number[] }>({
  source: "soak-events",
  sink: "soak-totals",
  reduce(state = { sum: 0, last: [] }, event) {
    if (event.bad) throw new Error("a bad event");
    if (event.end) return null;
    return { sum: state.sum + event.by, last: [...state.last.slice(-9), event.by] };
  },
});
`,
  levels: `
import { defineFunction } from "keyfold";
export default defineFunction<{ sum: number }, number>({ source: "soak-totals", reduce: (_state, event) => Math.floor(event.sum / 1000) });
`,
};

const bounded = { partitions: 4, "cleanup.policy": "delete", "retention.bytes": 16 << 20 };
const CONFIG = {
  name: "soak",
  "processing.guarantee": "exactly_once_v2",
  // Small, so that caches and memtables are full within minutes: what grows after that is no cache that fills.
  "state.memory.bytes": 16 << 20,
  logLevel: "error",
  topics: { "soak-events": bounded, "soak-totals": bounded, "soak-totals-dead-letters": bounded },
};

const dir = await mkdtemp(join(tmpdir(), "keyfold-soak-"));
await mkdir(join(dir, "functions"));
await writeFile(join(dir, "package.json"), '{ "name": "soak", "type": "module" }');
await writeFile(join(dir, "wrangler-like.config.ts"), `export default ${JSON.stringify(CONFIG)};\n`);
for (const [name, source] of Object.entries(FUNCTIONS)) await writeFile(join(dir, "functions", `${name}.ts`), source);

const bin = fileURLToPath(new URL("../bin/keyfold.mjs", import.meta.url));
const flags = ["--conditions=keyfold-source", "--disable-warning=ExperimentalWarning"];
const host = spawn(
  process.execPath,
  [...flags, bin, "start", "--json", "--port", "0", "--internal-port", "0", "--state-dir", join(dir, "state")],
  { cwd: dir, stdio: ["ignore", "pipe", "inherit"] },
);
const ended = once(host, "close");
process.once("SIGINT", () => host.kill("SIGTERM"));
let url = "";
let internal = "";
const lines = createInterface({ input: host.stdout });
await new Promise<void>((running) =>
  lines.on("line", (line) => {
    const event = JSON.parse(line) as { event: string; public: string; internal: string };
    if (event.event === "listening") ({ public: url, internal } = event);
    if (event.event === "running") running();
  }),
);

const end = performance.now() + minutes * 60_000;
const going = (): boolean => performance.now() < end && host.exitCode === null && host.signalCode === null;
const counts = { events: 0, invokes: 0, reads: 0, streams: 0, changes: 0, failures: 0 };
const key = (): string => `k${Math.floor(Math.random() * KEYS)}`;
const event = (): unknown => {
  const chance = Math.random();
  return { by: Math.floor(Math.random() * 100), ...(chance < 0.001 ? { bad: true } : chance < 0.01 ? { end: true } : {}) };
};

async function request(path: string, init?: RequestInit): Promise<unknown> {
  try {
    const response = await fetch(`${url}${path}`, init);
    const text = await response.text();
    if (response.status >= 500) counts.failures++;
    return JSON.parse(text);
  } catch {
    if (going()) counts.failures++;
    return undefined;
  }
}

/** Runs `work` over and over, `times` a second. */
async function every(times: number, work: () => Promise<unknown>): Promise<void> {
  for (let next = performance.now(); going(); next += 1_000 / times) {
    const wait = next - performance.now();
    if (wait > 0) await pause(wait);
    await work();
  }
}

const post = (path: string, type: string, body: string): Promise<unknown> =>
  request(path, { method: "POST", headers: { "content-type": type }, body });
const batch = (size: number): unknown[] => Array.from({ length: size }, () => ({ key: key(), value: event() }));

async function stream(): Promise<void> {
  const abort = new AbortController();
  const path = Math.random() < 0.5 ? "live" : `keys/${key()}/live`;
  try {
    const response = await fetch(`${url}/v1/functions/totals/${path}`, { signal: abort.signal });
    counts.streams++;
    const timer = setTimeout(() => abort.abort(), 2_000);
    try {
      for await (const chunk of response.body ?? []) counts.changes += (chunk as Uint8Array).length > 0 ? 1 : 0;
    } finally {
      clearTimeout(timer);
    }
  } catch {
    // Cut off by us.
  }
}

const load = [
  every(rate / 200, async () => {
    counts.events += 100;
    await post("/v1/topics/soak-events/records", "application/json", JSON.stringify(batch(100)));
  }),
  every(rate / 200, async () => {
    counts.events += 100;
    await post(
      "/v1/topics/soak-events/records",
      "application/x-ndjson",
      batch(100)
        .map((record) => JSON.stringify(record))
        .join("\n"),
    );
  }),
  ...Array.from({ length: 4 }, () =>
    every(25, async () => {
      counts.invokes++;
      await post(`/v1/functions/totals/keys/${key()}`, "application/json", JSON.stringify({ by: 1 }));
    }),
  ),
  every(20, async () => {
    counts.reads++;
    await request(`/v1/functions/totals/keys/${key()}`);
  }),
  every(2, async () => {
    counts.reads++;
    await request(`/v1/functions/totals/keys?prefix=k1&limit=100`);
  }),
  every(0.2, () => request("/v1/functions/totals/keys?count")),
  ...Array.from({ length: 3 }, () => every(1, stream)),
];

interface Sample {
  readonly minute: number;
  readonly rssMiB: number;
  /** Memory that is no file's: heaps, stacks, what RocksDB allocates. */
  readonly anonymousMiB: number;
  /** V8 heaps of the main thread and the workers. */
  readonly heapMiB: number;
  readonly fds: number;
  /** Of these, tables of RocksDB. */
  readonly tables: number;
  readonly threads: number;
  readonly iterators: number;
  readonly lag: number;
}

const samples: Sample[] = [];
const begun = performance.now();
const proc = (name: string): Promise<string> => readFile(`/proc/${host.pid}/${name}`, "utf8").catch(() => "");
const mib = (text: string, name: string): number =>
  Number((Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)?.[1] ?? Number.NaN) / 1024).toFixed(1));

async function openFiles(): Promise<string[]> {
  const dir = `/proc/${host.pid}/fd`;
  const names = await readdir(dir).catch(() => []);
  return Promise.all(names.map((name) => readlink(join(dir, name)).catch(() => "")));
}

/** Sum of a metric's series. */
function total(metrics: string, name: string): number {
  let sum = 0;
  for (const [, value] of metrics.matchAll(new RegExp(`^${name}(?:\\{.*\\})? (\\S+)$`, "gm"))) sum += Number(value);
  return sum;
}

async function sample(): Promise<void> {
  const [status, rollup, files] = await Promise.all([proc("status"), proc("smaps_rollup"), openFiles()]);
  const metrics = await fetch(`${internal}/metrics`).then(
    (response) => response.text(),
    () => "",
  );
  const { tasks = [] } = (await fetch(`${internal}/v1/tasks`).then(
    (response) => response.json(),
    () => ({}),
  )) as { tasks?: { lag: number; state: string }[] };
  const now = {
    minute: Number(((performance.now() - begun) / 60_000).toFixed(2)),
    rssMiB: mib(status, "VmRSS"),
    anonymousMiB: mib(rollup, "Anonymous"),
    heapMiB: Number(((total(metrics, "keyfold_main_heap_bytes") + total(metrics, "keyfold_worker_heap_bytes")) / 2 ** 20).toFixed(1)),
    fds: files.length,
    tables: files.filter((file) => file.endsWith(".sst")).length,
    threads: Number(/^Threads:\s+(\d+)/m.exec(status)?.[1]),
    iterators: total(metrics, "keyfold_store_iterators"),
    lag: tasks.reduce((sum, { lag }) => sum + lag, 0),
  };
  samples.push(now);
  print({ soak: "sample", ...now, notRunning: tasks.filter(({ state }) => state !== "RUNNING").length, ...counts });
}

/** Means of each minute: what moves up and down with garbage collections and compactions, seen from afar. */
function byMinute(): Record<string, number>[] {
  const minutesSeen = [...new Set(samples.map(({ minute }) => Math.floor(minute)))];
  return minutesSeen.map((minute) => {
    const mine = samples.filter((one) => Math.floor(one.minute) === minute);
    const mean = (of: (one: Sample) => number): number => Number((mine.reduce((sum, one) => sum + of(one), 0) / mine.length).toFixed(1));
    return {
      minute,
      rssMiB: mean((one) => one.rssMiB),
      anonymousMiB: mean((one) => one.anonymousMiB),
      heapMiB: mean((one) => one.heapMiB),
      fds: mean((one) => one.fds),
      tables: mean((one) => one.tables),
      iterators: mean((one) => one.iterators),
    };
  });
}

/** Least squares over the second half, per minute. */
function slope(of: (sample: Sample) => number): number {
  const late = samples.filter(({ minute, rssMiB }) => minute >= minutes / 2 && Number.isFinite(rssMiB));
  const mean = (values: number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
  const x = mean(late.map(({ minute }) => minute));
  const y = mean(late.map(of));
  return Number(
    (
      late.reduce((sum, one) => sum + (one.minute - x) * (of(one) - y), 0) / late.reduce((sum, { minute }) => sum + (minute - x) ** 2, 0)
    ).toFixed(3),
  );
}

function print(line: unknown): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

while (going()) {
  await sample();
  await pause(SAMPLE_MS);
}
await Promise.all(load);
host.kill("SIGTERM");
const [code] = (await ended) as [number | null];
const maxRss = Math.max(...samples.map(({ rssMiB }) => rssMiB));
for (const minute of byMinute()) print({ soak: "minute", ...minute });
print({
  soak: "result",
  minutes,
  exitCode: code,
  rssMiBMax: maxRss,
  rssMiBPerMinute: slope(({ rssMiB }) => rssMiB),
  anonymousMiBPerMinute: slope(({ anonymousMiB }) => anonymousMiB),
  heapMiBPerMinute: slope(({ heapMiB }) => heapMiB),
  fdsPerMinute: slope(({ fds }) => fds),
  threadsPerMinute: slope(({ threads }) => threads),
  lagPerMinute: slope(({ lag }) => lag),
  ...counts,
});
await rm(dir, { recursive: true, force: true });
