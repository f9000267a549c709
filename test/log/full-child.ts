/** Appends until the log says that the disk is full, then says how many appends were acknowledged. Argument: directory. */
import type { KeyfoldError } from "../../runtime/errors.ts";
import { openEmbeddedLog } from "../../runtime/log/embedded/log.ts";
import { outBatch, readAll } from "./helpers.ts";

const log = await openEmbeddedLog({ dir: process.argv[2] ?? "", flush: "os" });
await log.ensureTopic({ name: "t", partitions: 1 });
let acknowledged = 0;
try {
  for (; acknowledged < 10_000; acknowledged++) await log.append([outBatch("t", 0, [[`${acknowledged}`, "x".repeat(20_000)]])]);
} catch (error) {
  const readable = (await readAll(log, "t", 0)).length;
  process.stdout.write(JSON.stringify({ acknowledged, readable, code: (error as KeyfoldError).code }));
}
process.exit(0);
