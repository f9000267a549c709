/**
 * keyfold beside Kafka Streams, Goka and Quix on one broker, by the runner of the comparison (a folder with `run.py`; this
 * project is added to it as `bench/kafka-peer`). Prints the medians as a table, then how we compare with Kafka Streams' better
 * number of threads, one JSON line a workload. See --help.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";

const HELP = `Usage: node --conditions=keyfold-source bench/peers.ts --runner <folder> [options]

  --runner <folder>   the comparison's folder, built for the peers (its build.sh)
  --peers <names>     peers beside us (default: kafka-streams,goka,quix)
  --n <records>       records of each input (default: 2000000)
  --repeat <times>    runs of everything; figures are their medians (default: 3)
  --max-seconds <s>   a slower run is cut off and flagged partial (default: 300)
  --out <file>        keeps the runner's results, line by line, also of a comparison that is broken off
  --from <file>       no runs: the figures of a results file
`;

/** A line of the runner's results, as far as it is read here; seconds, bytes / 10^6. */
interface Run {
  readonly peer: string;
  readonly threads: number;
  readonly workload: string;
  readonly status: string;
  readonly check?: string;
  readonly records_per_s?: number;
  readonly records_per_cpu_s?: number;
  readonly startup_s?: number;
  readonly restore_s?: number;
  readonly restore_cpu_s?: number;
  readonly peak_rss_mb?: number;
  readonly broker_cpu_s?: number;
  readonly changelog_records?: number;
}

const { values } = parseArgs({
  options: {
    runner: { type: "string" },
    peers: { type: "string", default: "kafka-streams,goka,quix" },
    n: { type: "string", default: "2000000" },
    repeat: { type: "string", default: "3" },
    "max-seconds": { type: "string", default: "300" },
    out: { type: "string" },
    from: { type: "string" },
    help: { type: "boolean", default: false },
  },
});
if (values.help || (values.runner === undefined && values.from === undefined)) {
  process.stdout.write(HELP);
  process.exit(values.help ? 0 : 2);
}

const runs = values.from === undefined ? await runAll(resolve(values.runner ?? "")) : await readRuns(values.from);
process.stdout.write(`${table(runs)}\n\n`);
for (const line of comparison(runs)) process.stdout.write(`${JSON.stringify(line)}\n`);

async function runAll(runner: string): Promise<Run[]> {
  const dir = await mkdtemp(join(tmpdir(), "keyfold-peers-"));
  try {
    const out = resolve(values.out ?? join(dir, "results.jsonl"));
    const peers = `${join(import.meta.dirname, "kafka-peer")},${values.peers}`;
    const args = [
      "run.py",
      "--n",
      values.n,
      "--repeat",
      values.repeat,
      "--max-seconds",
      values["max-seconds"],
      "--peers",
      peers,
      "--out",
      out,
    ];
    // Its progress is ours; its own table, of single runs, goes the same way.
    const child = spawn("python3", args, { cwd: runner, stdio: ["ignore", 2, 2] });
    const [code] = (await once(child, "exit")) as [number | null];
    if (code !== 0) throw new Error(`the runner ended with ${code}`);
    return await readRuns(out);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

async function readRuns(file: string): Promise<Run[]> {
  const lines = (await readFile(file, "utf8")).split("\n").filter((line) => line !== "");
  return lines.map((line) => JSON.parse(line) as Run);
}

function median(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined).sort((a, b) => a - b);
  const upper = known[known.length >> 1];
  const lower = known[(known.length - 1) >> 1];
  return upper === undefined || lower === undefined ? undefined : (lower + upper) / 2;
}

/** Restore without the start of the process: from the first record of a run with nothing to restore. */
interface Row extends Omit<Run, "status"> {
  readonly runs: number;
  readonly net_restore_s: number | undefined;
}

function rows(all: readonly Run[]): Row[] {
  const groups = new Map<string, Run[]>();
  for (const run of all) {
    const name = `${run.peer} ${run.threads} ${run.workload}`;
    groups.set(name, [...(groups.get(name) ?? []), run]);
  }
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined || group.some(({ status }) => status === "not supported")) return [];
    const of = (key: keyof Run, from: readonly Run[] = group) => median(from.map((run) => run[key] as number | undefined));
    const start = of("startup_s", groups.get(`${first.peer} ${first.threads} wide`) ?? []);
    const restored = of("restore_s");
    const figures = [
      "records_per_s",
      "records_per_cpu_s",
      "restore_s",
      "restore_cpu_s",
      "peak_rss_mb",
      "broker_cpu_s",
      "changelog_records",
    ] as const;
    return [
      {
        peer: first.peer,
        threads: first.threads,
        workload: first.workload,
        runs: group.length,
        check: [...new Set(group.map(({ status, check }) => (status === "ok" ? (check ?? "") : `${status}: ${check ?? ""}`)))].join("; "),
        ...Object.fromEntries(figures.flatMap((key) => (of(key) === undefined ? [] : [[key, of(key)]]))),
        net_restore_s: restored === undefined || start === undefined ? undefined : restored - start,
      },
    ];
  });
}

function table(all: readonly Run[]): string {
  const head = [
    "workload",
    "peer",
    "threads",
    "rec/s",
    "rec/CPU-s",
    "net restore s",
    "restore CPU s",
    "peak RSS MB",
    "changelog",
    "broker CPU s",
    "check",
  ];
  const order = ["hot", "wide", "hot-eos", "restore"];
  const sorted = rows(all).sort((a, b) => order.indexOf(a.workload) - order.indexOf(b.workload));
  const whole = (value: number | undefined) => (value === undefined ? "" : Math.round(value).toLocaleString("en"));
  const tenths = (value: number | undefined) => (value === undefined ? "" : value.toFixed(1));
  const lines = sorted.map((row) => [
    row.workload,
    row.peer,
    String(row.threads),
    whole(row.records_per_s),
    whole(row.records_per_cpu_s),
    tenths(row.net_restore_s),
    tenths(row.restore_cpu_s),
    whole(row.peak_rss_mb),
    whole(row.changelog_records),
    tenths(row.broker_cpu_s),
    row.check ?? "",
  ]);
  return [head, head.map(() => "---"), ...lines].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** Us against Kafka Streams, each with its better number of threads. Above 1 is better for us, but for memory. */
function comparison(all: readonly Run[]): object[] {
  const found = rows(all);
  const best = (peer: string, workload: string, key: keyof Row, pick: (...of: number[]) => number): number | undefined => {
    const values = found
      .filter((row) => row.peer === peer && row.workload === workload)
      .flatMap((row) => (row[key] as number | undefined) ?? []);
    return values.length === 0 ? undefined : pick(...values);
  };
  const ratio = (a: number | undefined, b: number | undefined) =>
    a === undefined || b === undefined ? undefined : Math.round((a / b) * 100) / 100;
  return ["hot", "wide", "hot-eos", "restore"].map((workload) => {
    const us = (key: keyof Row, pick: (...of: number[]) => number) => best("keyfold", workload, key, pick);
    const them = (key: keyof Row, pick: (...of: number[]) => number) => best("kafka-streams", workload, key, pick);
    return {
      bench: "peers",
      workload,
      recordsPerCpuSecond: ratio(us("records_per_cpu_s", Math.max), them("records_per_cpu_s", Math.max)),
      recordsPerSecond: ratio(us("records_per_s", Math.max), them("records_per_s", Math.max)),
      netRestoreSpeed: ratio(them("net_restore_s", Math.min), us("net_restore_s", Math.min)),
      peakMemory: ratio(us("peak_rss_mb", Math.max), them("peak_rss_mb", Math.max)),
    };
  });
}
