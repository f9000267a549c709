/** A process to be killed: commits from several producers at once, and says on stdout what was acknowledged. Arguments: directory, flush. */
import { openEmbeddedLog } from "../../runtime/log/embedded/log.ts";
import { outBatch } from "./helpers.ts";

const [dir = "", flush = "os"] = process.argv.slice(2);
const log = await openEmbeddedLog({ dir, flush: flush === "commit" ? "commit" : "os", syncIntervalMs: 20 });
await log.ensureTopic({ name: "in", partitions: 4 });
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
      batches: [outBatch("out", producer * 2, record), outBatch("out", producer * 2 + 1, record)],
      offsets: [{ ...source, offset: n + 1, metadata: `${n}` }],
    });
    process.stdout.write(`${producer} ${n}\n`);
  }
}

process.stdout.write("ready\n");
await Promise.all([0, 1, 2, 3].map(produce));
