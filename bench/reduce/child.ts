import { rm } from "node:fs/promises";
import { join } from "node:path";
import { loadConfig } from "../../runtime/config/load.ts";
import { startHost } from "../../runtime/host/host.ts";
import { becomeHost } from "../../runtime/host/host-process.ts";
import { openEmbeddedLog } from "../../runtime/log/embedded/log.ts";
import { openKafkaLog } from "../../runtime/log/kafka/log.ts";
import type { Log } from "../../runtime/log/log.ts";
import { loadEvents, PARTITIONS, type Workload } from "./events.ts";

/** What one measured process is to do; one JSON argument. */
export interface Job {
  readonly kind: "load" | "run" | "restore" | "forget";
  /** Name of the application; its topics begin with it. */
  readonly name: string;
  readonly dir: string;
  /** Kafka's, separated by commas; absent: the embedded log under `dir`. */
  readonly brokers?: string;
  readonly workload: Workload;
  readonly events: number;
  readonly keys: number;
  readonly threads: number;
}

becomeHost();
const job = JSON.parse(process.argv[2] ?? "{}") as Job;
const application = `${job.name}-totals`;
const topic = `${job.name}-events`;
const brokers = job.brokers?.split(",");

const cpuSeconds = (since: NodeJS.CpuUsage): number => {
  const { user, system } = process.cpuUsage(since);
  return (user + system) / 1e6;
};

if (job.kind === "load") {
  const log = await openLog();
  await loadEvents(log, topic, job.workload, job.events, job.keys);
  await log.close();
  process.stdout.write("{}\n");
} else if (job.kind === "forget") {
  await forget([topic]);
  process.stdout.write("{}\n");
} else {
  await rm(join(job.dir, application), { recursive: true, force: true });
  if (job.kind === "run") await forget([]);
  const config = await loadConfig({
    cwd: import.meta.dirname,
    environment: process.env,
    flags: {
      name: job.name,
      "state.dir": job.dir,
      "num.stream.threads": job.threads,
      functions: { totals: { source: topic } },
      topics: { [topic]: { partitions: PARTITIONS } },
      ...(brokers === undefined ? {} : { log: { kind: "kafka", brokers } }),
    },
  });
  const restore = { first: 0, last: 0, records: 0 };
  let peak = 0;
  const sampler = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage.rss());
  }, 50);
  const cpu = process.cpuUsage();
  const begun = performance.now();
  const host = await startHost(config, {
    http: false,
    onRestore: (event) => {
      if (event.kind === "start" && restore.first === 0) restore.first = performance.now();
      if (event.kind === "end") {
        restore.last = performance.now();
        restore.records += event.totalRestored;
      }
    },
  });
  await host.running;
  if (job.kind === "run") {
    const partitions = Array.from({ length: PARTITIONS }, (_, partition) => ({ topic, partition }));
    const end = (await host.log.offsets(partitions)).reduce((sum, range) => sum + range.end, 0);
    const committed = async (): Promise<number> =>
      (await host.log.committed(application, partitions)).reduce((sum, one) => sum + (one?.offset ?? 0), 0);
    while ((await committed()) < end) {
      const [unwell] = host.api.unhealthy();
      if (unwell !== undefined) throw new Error(unwell);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const wall = (performance.now() - begun) / 1000;
    const used = cpuSeconds(cpu);
    clearInterval(sampler);
    process.stdout.write(
      `${JSON.stringify({ events: end, wallSeconds: round(wall), cpuSeconds: round(used), eventsPerSecond: Math.round(end / wall), eventsPerCpuSecond: Math.round(end / used), cpuSecondsPerMillion: round((used / end) * 1e6), peakRssMiB: Math.round(peak / 2 ** 20) })}\n`,
    );
  } else {
    const seconds = (restore.last - restore.first) / 1000;
    clearInterval(sampler);
    process.stdout.write(
      `${JSON.stringify({ records: restore.records, seconds: round(seconds), recordsPerSecond: Math.round(restore.records / seconds), cpuSeconds: round(cpuSeconds(cpu)), peakRssMiB: Math.round(peak / 2 ** 20) })}\n`,
    );
  }
  await host.stop();
}

/** So that the next run reduces everything again. */
async function forget(topics: readonly string[]): Promise<void> {
  const log = await openLog();
  await log.deleteGroup(application);
  for (const name of [`${application}-state-changelog`, `${application}-dead-letters`, ...topics]) {
    if ((await log.describe(name)) !== undefined) await log.deleteTopic(name);
  }
  await log.close();
}

function openLog(): Promise<Log> {
  return brokers === undefined ? openEmbeddedLog({ dir: join(job.dir, "log"), flush: "os" }) : openKafkaLog({ brokers });
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
