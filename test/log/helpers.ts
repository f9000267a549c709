import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { Log, OutBatch } from "../../runtime/log/log.ts";
import { BatchBuilder, decodeBatches, keyText, valueText } from "../../runtime/log/record-batch.ts";

/** A record as tests write and compare it. */
export interface Row {
  readonly offset: number;
  readonly key: string | null;
  readonly value: string | null;
  readonly timestamp: number;
}

/** [key, value] pairs as an append to one partition; timestamps count up from `firstTimestamp`. */
export function outBatch(
  topic: string,
  partition: number,
  pairs: readonly (readonly [string | null, string | null])[],
  maxBatchBytes = 128 * 1024,
  firstTimestamp = 1000,
): OutBatch {
  const builder = new BatchBuilder({ maxBatchBytes });
  for (const [key, value] of pairs) builder.append(key, value === null ? null : Buffer.from(value), firstTimestamp + builder.count);
  return { topic, partition, data: builder.finish(), count: builder.count };
}

/** Everything from `position` to the end as of the first answer, by as many fetches as it takes. */
export async function readAll(log: Log, topic: string, partition: number, position = 0, maxBytes = 1024 * 1024): Promise<Row[]> {
  const rows: Row[] = [];
  let at = position;
  for (;;) {
    const { data, next, end } = await log.fetch({ topic, partition, position: at, maxBytes, maxWaitMs: 0 });
    const batch = decodeBatches(data, { from: at });
    for (let i = 0; i < batch.length; i++) {
      rows.push({
        offset: batch.offsets[i] ?? -1,
        key: keyText(batch, i),
        value: valueText(batch, i),
        timestamp: batch.timestamps[i] ?? -1,
      });
    }
    if (next <= at || next >= end) return rows;
    at = next;
  }
}

/** A directory of the test's own, removed after it. */
export async function tempDir(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "keyfold-log-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}
