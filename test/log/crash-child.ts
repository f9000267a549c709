/** A process to be killed: commits from several producers at once, compacts all the while, and says on stdout what was acknowledged. Arguments: directory, flush. */
import { openEmbeddedLog } from "../../runtime/log/embedded/log.ts";
import { outBatch } from "./helpers.ts";

const [dir = "", flush = "os"] = process.argv.slice(2);
const log = await openEmbeddedLog({ dir, flush: flush === "commit" ? "commit" : "os", syncIntervalMs: 20 });
await log.ensureTopic({ name: "in", partitions: 4 });
await log.ensureTopic({ name: "state", partitions: 4, config: { "cleanup.policy": "compact", "delete.retention.ms": "0" } });
await log.ensureTopic({ name: "out", partitions: 8, config: { "cleanup.policy": "compact" } });

async function produce(producer: number): Promise<void> {
  const source = { topic: "in", partition: producer };
  const [committed] = await log.committed("group", [source]);
  for (let n = committed?.offset ?? 0; ; n++) {
    const record = [[`${n}`, "x".repeat((n * 37) % 500)]] as const;
    await log.commit({
      group: "group",
      producer: `group-0_${producer}`,
      atomic: true,
      batches: [
        outBatch("state", producer, [[`${n % 7}`, n % 3 === 0 ? null : `${n}`]]),
        outBatch("out", producer * 2, record),
        outBatch("out", producer * 2 + 1, record),
      ],
      offsets: [{ ...source, offset: n + 1, metadata: `${n}` }],
    });
    process.stdout.write(`${producer} ${n}\n`);
  }
}

async function clean(): Promise<void> {
  for (;;) await log.cleanNow();
}

process.stdout.write("ready\n");
await Promise.all([clean(), ...[0, 1, 2, 3].map(produce)]);
