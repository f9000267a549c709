import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { parseArgs, promisify } from "node:util";
import { build } from "../../runtime/bundle/build.ts";
import { loadConfig } from "../../runtime/config/load.ts";
import type { Job } from "./child.ts";
import { HOT_KEYS, parseCost, type Workload } from "./events.ts";

const HELP = `Usage: node --conditions=keyfold-source bench/reduce/main.ts [--events N] [--keys N] [--rounds N] [--workloads hot,wide] [--threads 1,2] [--brokers host:port]

The reducer of the comparison with Kafka Streams on the embedded log, or on Kafka with --brokers; changelog on, commit every second: each measurement is a
process of its own over a log filled before. Prints one line of JSON per figure. CPU is that of the whole process, all threads. Around each
workload it says what the machine is worth at the moment: the CPU nanoseconds that JSON.parse takes for one of the events.
`;

const { values } = parseArgs({
  options: {
    events: { type: "string", default: "2000000" },
    keys: { type: "string", default: "1000000" },
    rounds: { type: "string", default: "1" },
    workloads: { type: "string", default: "hot,wide" },
    threads: { type: "string", default: "1,2" },
    brokers: { type: "string" },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  process.stdout.write(HELP);
  process.exit(0);
}

const run = promisify(execFile);

/** Runs a job in a process of its own and gives back what it printed. */
async function child(job: Job): Promise<Record<string, unknown>> {
  const { stdout } = await run(process.execPath, [...process.execArgv, join(import.meta.dirname, "child.ts"), JSON.stringify(job)], {
    maxBuffer: 1 << 20,
  });
  return JSON.parse(stdout) as Record<string, unknown>;
}

const print = (line: Record<string, unknown>): boolean => process.stdout.write(`${JSON.stringify(line)}\n`);

const { failures } = await build(await loadConfig({ cwd: import.meta.dirname, environment: {} }));
for (const { error } of failures) throw error;
const events = Number(values.events);
const keys = Number(values.keys);
const threads = values.threads.split(",").map(Number);
const dir = await mkdtemp(join(tmpdir(), "keyfold-bench-"));
const { brokers } = values;
const log = brokers === undefined ? "embedded" : "kafka";
// A name of its own: others may work on the same broker.
const base = { name: basename(dir).toLowerCase(), events, keys, ...(brokers === undefined ? {} : { brokers }) };
try {
  for (const workload of values.workloads.split(",") as Workload[]) {
    const job = { ...base, dir: join(dir, workload), workload, threads: 1 };
    await child({ ...job, kind: "load" });
    for (let round = 1; round <= Number(values.rounds); round++) {
      print({ bench: "machine", jsonParseNs: parseCost() });
      for (const n of threads) {
        const measure = async (bench: "reduce" | "restore", kind: Job["kind"]) => {
          const figures = await child({ ...job, kind, threads: n });
          print({ bench, log, workload, keys: workload === "hot" ? HOT_KEYS : keys, threads: n, round, ...figures });
        };
        await measure("reduce", "run");
        if (workload === "wide") await measure("restore", "restore");
      }
    }
    print({ bench: "machine", jsonParseNs: parseCost() });
    await child({ ...job, kind: "forget" });
    await rm(job.dir, { recursive: true, force: true });
  }
} finally {
  await rm(dir, { recursive: true, force: true });
}
