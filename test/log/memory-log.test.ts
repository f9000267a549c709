import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryLog } from "../../runtime/log/memory-log.ts";
import { BatchBuilder, decodeBatches, keyText, NO_TIMESTAMP } from "../../runtime/log/record-batch.ts";
import { outBatch } from "./helpers.ts";

const pairs = (count: number) => Array.from({ length: count }, (_, i) => [`k${i}`, "value"] as const);

test("records come back with the offsets the log gave", () => {
  const log = new MemoryLog();
  log.ensureTopic({ name: "t", partitions: 2 });
  const batch = outBatch("t", 0, pairs(100), 300);
  assert.equal(log.append("t", 0, batch.data), 0);
  assert.equal(log.append("t", 0, batch.data), 100, "the bytes given are not changed");
  assert.deepEqual(log.ends("t"), [
    { start: 0, end: 200 },
    { start: 0, end: 0 },
  ]);
  let position = 37;
  const keys: (string | null)[] = [];
  while (position < 200) {
    const { data, next, end } = log.fetch("t", 0, position, 1000);
    assert.ok(next > position && end === 200);
    const rows = decodeBatches(data, { from: position });
    for (let i = 0; i < rows.length; i++) keys.push(keyText(rows, i));
    position = next;
  }
  assert.deepEqual(
    keys,
    [...pairs(100), ...pairs(100)].slice(37).map(([key]) => key),
  );
  assert.deepEqual(log.fetch("t", 0, 200).next, 200);
  assert.deepEqual(log.fetch("t", 1, 0), { data: Buffer.alloc(0), next: 0, end: 0 });
});

test("offsets of groups, times of records, and what is not there", () => {
  const log = new MemoryLog({ now: () => 4711 });
  log.ensureTopic({ name: "t", partitions: 1 });
  assert.throws(() => log.ensureTopic({ name: "t", partitions: 2 }), { code: "topic-mismatch" });
  assert.equal(log.ensureTopic({ name: "t", partitions: 1 }).partitions, 1);
  assert.deepEqual(
    log.topics().map(({ name }) => name),
    ["t"],
  );
  const builder = new BatchBuilder();
  builder.append("a", null, NO_TIMESTAMP);
  log.append("t", 0, builder.finish());
  assert.equal(decodeBatches(log.fetch("t", 0, 0).data).timestamps[0], 4711);
  log.commit("g", [{ topic: "t", partition: 0, offset: 1, metadata: "m" }]);
  assert.deepEqual(log.committed("g", "t", 0), { topic: "t", partition: 0, offset: 1, metadata: "m" });
  assert.equal(log.committed("h", "t", 0), undefined);
  assert.equal(log.describe("u"), undefined);
  assert.throws(() => log.append("u", 0, builder.finish()), { code: "topic-unknown" });
  assert.throws(() => log.append("t", 1, builder.finish()), { code: "partition-unknown" });
  assert.throws(() => log.append("t", 0, Buffer.alloc(70)), { code: "log-corrupt" });
  assert.throws(() => log.fetch("t", 0, 2), { code: "offset-out-of-range" });
});
