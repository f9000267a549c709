import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { KeyfoldError } from "../../runtime/errors.ts";
import { openEmbeddedLog } from "../../runtime/log/embedded/log.ts";
import { BatchBuilder } from "../../runtime/log/record-batch.ts";
import { logContract } from "./contract.ts";
import { outBatch, readAll, tempDir } from "./helpers.ts";

for (const flush of ["os", "commit"] as const) {
  logContract(`embedded (flush: ${flush})`, async () => {
    const dir = await mkdtemp(join(tmpdir(), "keyfold-log-"));
    return { open: () => openEmbeddedLog({ dir, flush }), cleanup: () => rm(dir, { recursive: true, force: true }) };
  });
}

test("what arrives in one turn shares one write, and one sync", async (t) => {
  const log = await openEmbeddedLog({ dir: await tempDir(t), flush: "commit" });
  await log.ensureTopic({ name: "t", partitions: 2 });
  const before = log.metrics();
  const commits = Array.from({ length: 50 }, (_, i) =>
    log.commit({
      group: "g",
      producer: "p",
      atomic: true,
      batches: [outBatch("t", i % 2, [["k", `${i}`]])],
      offsets: [{ topic: "t", partition: 0, offset: i }],
    }),
  );
  await Promise.all(commits);
  const after = log.metrics();
  assert.equal(after.writes - before.writes, 1);
  assert.equal(after.syncs - before.syncs, 1);
  assert.equal(after.recordsAppended, 50);
  assert.equal(after.commits, 50);
  assert.ok(after.bytesAppended > 50 * 61);
  assert.equal((await readAll(log, "t", 1)).length, 25);
  assert.ok(log.metrics().fetches > 0 && log.metrics().bytesFetched > 25 * 61);
  await log.close();
});

test("someone who appends without pause does not keep the event loop", async (t) => {
  const log = await openEmbeddedLog({ dir: await tempDir(t), flush: "os" });
  await log.ensureTopic({ name: "t", partitions: 1 });
  let ticked = false;
  setTimeout(() => {
    ticked = true;
  }, 1);
  let appends = 0;
  while (!ticked) {
    await log.append([outBatch("t", 0, [["k", "v"]])]);
    appends++;
  }
  assert.equal((await log.offsets([{ topic: "t", partition: 0 }]))[0]?.end, appends);
  await log.close();
});

test("what the kernel has is forced to the disk in the background", async (t) => {
  const log = await openEmbeddedLog({ dir: await tempDir(t), flush: "os", syncIntervalMs: 1 });
  await log.ensureTopic({ name: "t", partitions: 1 });
  while (log.metrics().syncs < 3) await log.append([outBatch("t", 0, [["k", "v"]])]);
  await log.close();
});

test("a producer that was superseded is fenced", async (t) => {
  const log = await openEmbeddedLog({ dir: await tempDir(t), flush: "os" });
  await log.ensureTopic({ name: "t", partitions: 1 });
  const commit = (producer: string) =>
    log.commit({ group: "g", producer, atomic: true, batches: [outBatch("t", 0, [["k", producer]])], offsets: [] });
  await commit("app-0_0");
  const first = log.registerProducer("app-0_0");
  await commit(first);
  const second = log.registerProducer("app-0_0");
  await commit(second);
  for (const zombie of [first, "app-0_0"]) {
    await assert.rejects(commit(zombie), (error: KeyfoldError) => error.code === "fenced" && error.remedy === "migrated");
  }
  await commit("app-0_1");
  assert.deepEqual(
    (await readAll(log, "t", 0)).map(({ value }) => value),
    ["app-0_0", first, second, "app-0_1"],
  );
  await log.close();
});

test("a directory is open once, in this process and in others", async (t) => {
  const dir = await tempDir(t);
  const log = await openEmbeddedLog({ dir, flush: "os" });
  await assert.rejects(
    openEmbeddedLog({ dir, flush: "os" }),
    (error: KeyfoldError) => error.code === "store-locked" && error.message.includes(dir),
  );
  await log.ensureTopic({ name: "t", partitions: 1 });
  await log.close();
  await (await openEmbeddedLog({ dir, flush: "os" })).close();
});

test("a directory of a newer format is left alone", async (t) => {
  const dir = await tempDir(t);
  await (await openEmbeddedLog({ dir, flush: "os" })).close();
  const file = join(dir, "FORMAT");
  const written = await readFile(file, "utf8");
  await writeFile(file, JSON.stringify({ format: 9, oldestReader: 9 }));
  await assert.rejects(
    openEmbeddedLog({ dir, flush: "os" }),
    (error: KeyfoldError) => error.code === "format-newer" && /9/.test(error.message),
  );
  await writeFile(file, "not json");
  await assert.rejects(openEmbeddedLog({ dir, flush: "os" }), (error: KeyfoldError) => error.code === "log-corrupt");
  await writeFile(file, JSON.stringify({ format: 9, oldestReader: 1 }));
  await (await openEmbeddedLog({ dir, flush: "os" })).close();
  await writeFile(file, written);
});

test("a directory that cannot be used is named, and what is damaged is called so", async (t) => {
  const dir = await tempDir(t);
  const file = join(dir, "file");
  await writeFile(file, "not a directory");
  await assert.rejects(
    openEmbeddedLog({ dir: file, flush: "os" }),
    (error: KeyfoldError) => error.code === "log-unavailable" && error.message.includes(file),
  );
  const log = await openEmbeddedLog({ dir, flush: "os" });
  await log.ensureTopic({ name: "t", partitions: 1 });
  for (let i = 0; i < 20; i++) await log.append([outBatch("t", 0, [["k", "v".repeat(5000)]])]);
  await log.close();
  await (await openEmbeddedLog({ dir, flush: "os" })).close();
  const table = (await readdir(join(dir, "rocksdb"))).find((name) => name.endsWith(".sst"));
  assert.ok(table !== undefined, "opening has made a table of the write-ahead log");
  const bytes = await readFile(join(dir, "rocksdb", table));
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 0xff;
  await writeFile(join(dir, "rocksdb", table), bytes);
  const damaged = await openEmbeddedLog({ dir, flush: "os" });
  await assert.rejects(
    readAll(damaged, "t", 0),
    (error: KeyfoldError) => error.code === "log-corrupt" && error.remedy === "corrupt" && error.message.includes(dir),
  );
  await damaged.append([outBatch("t", 0, [["k", "v"]])]);
  await damaged.close();
});

test("topic specs that Kafka would refuse are refused", async (t) => {
  const log = await openEmbeddedLog({ dir: await tempDir(t), flush: "os" });
  const refused = (spec: Parameters<typeof log.ensureTopic>[0]) =>
    assert.rejects(log.ensureTopic(spec), (error: KeyfoldError) => error.code === "config-invalid");
  await refused({ name: "a b", partitions: 1 });
  await refused({ name: "..", partitions: 1 });
  await refused({ name: "x".repeat(250), partitions: 1 });
  await refused({ name: "a", partitions: 0 });
  await refused({ name: "a", partitions: 1.5 });
  await refused({ name: "a", partitions: 1, config: { "retention.ms": "soon" } });
  await refused({ name: "a", partitions: 1, config: { "cleanup.policy": "burn" } });
  await log.ensureTopic({ name: "a", partitions: 1, config: { "cleanup.policy": "compact,delete" } });
  await log.ensureTopic({ name: "a", partitions: 1, config: { "cleanup.policy": "delete, compact", "retention.ms": "-1" } });
  await log.close();
});

test("events of long ago stay in a topic that nobody gave a retention", async (t) => {
  const log = await openEmbeddedLog({ dir: await tempDir(t), flush: "os" });
  await log.ensureTopic({ name: "t", partitions: 1 });
  const builder = new BatchBuilder();
  for (const time of [0, 1, 2]) {
    builder.append("k", Buffer.from("v"), time);
    await log.append([{ topic: "t", partition: 0, data: builder.finish(), count: 1 }]);
    builder.reset();
  }
  await log.cleanNow();
  assert.deepEqual(await log.offsets([{ topic: "t", partition: 0 }]), [{ start: 0, end: 3 }]);
  await log.close();
});

test("a deleted topic's name comes back empty after restarts, and its offsets are gone", async (t) => {
  const dir = await tempDir(t);
  for (let round = 0; round < 3; round++) {
    const log = await openEmbeddedLog({ dir, flush: "os" });
    await log.ensureTopic({ name: "t", partitions: 1 });
    assert.deepEqual(await log.offsets([{ topic: "t", partition: 0 }]), [{ start: 0, end: 0 }]);
    assert.deepEqual(await log.committed("g", [{ topic: "t", partition: 0 }]), [undefined]);
    await log.commit({
      group: "g",
      producer: "p",
      atomic: true,
      batches: [
        outBatch("t", 0, [
          ["a", "1"],
          ["b", "2"],
        ]),
      ],
      offsets: [{ topic: "t", partition: 0, offset: 1 }],
    });
    await log.deleteRecords({ topic: "t", partition: 0 }, 2);
    await log.deleteTopic("t");
    await log.close();
  }
  for (const end of [1, 2]) {
    const log = await openEmbeddedLog({ dir, flush: "os" });
    await log.ensureTopic({ name: "t", partitions: 1 });
    await log.append([outBatch("t", 0, [["a", "1"]])]);
    assert.deepEqual(await log.offsets([{ topic: "t", partition: 0 }]), [{ start: 0, end }]);
    await log.close();
  }
});

test("offsets committed right before their topic is deleted do not come back with its name", async (t) => {
  const dir = await tempDir(t);
  const one = { topic: "t", partition: 0 };
  let log = await openEmbeddedLog({ dir, flush: "os" });
  await log.ensureTopic({ name: "t", partitions: 1 });
  const commit = log.commit({ group: "g", producer: "p", atomic: true, batches: [], offsets: [{ ...one, offset: 3 }] });
  await Promise.all([commit, log.deleteTopic("t")]);
  await log.close();
  log = await openEmbeddedLog({ dir, flush: "os" });
  await log.ensureTopic({ name: "t", partitions: 1 });
  assert.deepEqual(await log.committed("g", [one]), [undefined]);
  const again = log.commit({ group: "g", producer: "p", atomic: true, batches: [], offsets: [{ ...one, offset: 4 }] });
  await Promise.all([again, log.deleteGroup("g")]);
  await log.close();
  log = await openEmbeddedLog({ dir, flush: "os" });
  assert.deepEqual(await log.committed("g", [one]), [undefined]);
  await log.close();
});

test("deleting a topic ends the waits of its readers", async (t) => {
  const log = await openEmbeddedLog({ dir: await tempDir(t), flush: "os" });
  await log.ensureTopic({ name: "t", partitions: 1 });
  const waiting = log.fetch({ topic: "t", partition: 0, position: 0, maxBytes: 1, maxWaitMs: 60_000 });
  const ended = assert.rejects(waiting, (error: KeyfoldError) => error.code === "topic-unknown");
  await log.deleteTopic("t");
  await ended;
  await log.close();
});

test("deleteRecords moves the start, which survives restarts even where nothing is left", async (t) => {
  const dir = await tempDir(t);
  let log = await openEmbeddedLog({ dir, flush: "os" });
  await log.ensureTopic({ name: "t", partitions: 1 });
  const one = { topic: "t", partition: 0 };
  await log.append([
    outBatch(
      "t",
      0,
      Array.from({ length: 300 }, (_, i) => [`${i}`, "x".repeat(100)] as const),
      2048,
    ),
  ]);
  await log.deleteRecords(one, 137);
  assert.deepEqual(await log.offsets([one]), [{ start: 137, end: 300 }]);
  assert.equal((await readAll(log, "t", 0, 137))[0]?.key, "137");
  await assert.rejects(log.fetch({ ...one, position: 100, maxBytes: 1, maxWaitMs: 0 }), (error: KeyfoldError) => {
    assert.equal(error.code, "offset-out-of-range");
    assert.deepEqual([error.details.gap, error.details.start, error.details.end], [37, 137, 300]);
    assert.match(error.message, /37/);
    return true;
  });
  await log.deleteRecords(one, 5000);
  assert.deepEqual(await log.offsets([one]), [{ start: 300, end: 300 }]);
  for (let round = 0; round < 2; round++) {
    await log.close();
    log = await openEmbeddedLog({ dir, flush: "os" });
    assert.deepEqual(await log.offsets([one]), [{ start: 300, end: 300 }]);
  }
  assert.deepEqual(await log.append([outBatch("t", 0, [["new", "1"]])]), [300]);
  await log.close();
});
