/** A process that writes as much as it can: its write-ahead log begins a new file and is flushed again and again, while it compacts and deletes. Argument: directory. */
import { openEmbeddedLog } from "../../runtime/log/embedded/log.ts";
import { outBatch } from "./helpers.ts";

const [dir = ""] = process.argv.slice(2);
const log = await openEmbeddedLog({ dir, flush: "os", syncIntervalMs: 20 });
await log.ensureTopic({ name: "state", partitions: 1, config: { "cleanup.policy": "compact", "delete.retention.ms": "0" } });
await log.ensureTopic({ name: "out", partitions: 1 });
process.stdout.write("ready\n");

async function append(): Promise<never> {
  for (let n = 0; ; n++) {
    const batches = [outBatch("state", 0, [[`${n % 7}`, `${n}`]]), outBatch("out", 0, [["k", "x".repeat((n * 37_003) % 200_000)]])];
    const [, offset = 0] = await log.append(batches);
    if (n % 100 === 99) await log.deleteRecords({ topic: "out", partition: 0 }, offset);
  }
}

async function clean(): Promise<never> {
  for (;;) await log.cleanNow();
}

await Promise.all([append(), clean()]);
