import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { KeyfoldError } from "../../runtime/errors.ts";
import { openEmbeddedLog } from "../../runtime/log/embedded/log.ts";
import { OffsetMap } from "../../runtime/log/embedded/offset-map.ts";
import { expiredBelow, noteSeen } from "../../runtime/log/embedded/tombstones.ts";
import { BatchBuilder } from "../../runtime/log/record-batch.ts";
import { outBatch, readAll, tempDir } from "./helpers.ts";

const seed = Number(process.env.KEYFOLD_SEED ?? 20261121);
const DAY = 86_400_000;

type Open = Awaited<ReturnType<typeof openEmbeddedLog>>;

/** One record of a given time to partition 0 of "t". */
async function put(log: Open, key: string, value: string | null, timestamp: number): Promise<void> {
  const builder = new BatchBuilder();
  builder.append(key, value === null ? null : Buffer.from(value), timestamp);
  await log.append([{ topic: "t", partition: 0, data: builder.finish(), count: 1 }]);
}

const start = async (log: Open): Promise<number> => (await log.offsets([{ topic: "t", partition: 0 }]))[0]?.start ?? -1;
const state = async (log: Open): Promise<string[]> =>
  (await readAll(log, "t", 0, await start(log))).map(({ key, value }) => `${key}=${value}`);

test("records older than retention.ms go, and the gap is told", async (t) => {
  let now = 100 * DAY;
  const dir = await tempDir(t);
  let log = await openEmbeddedLog({ dir, flush: "os", clock: () => now });
  await log.ensureTopic({ name: "t", partitions: 1, config: { "retention.ms": String(DAY) } });
  for (let i = 0; i < 10; i++) await put(log, `${i}`, "v", now + (i * DAY) / 10);
  await log.cleanNow();
  assert.equal(await start(log), 0);
  now += DAY + DAY / 2;
  await log.cleanNow();
  assert.equal(await start(log), 5);
  assert.equal(log.metrics().batchesDeleted, 5);
  await assert.rejects(
    log.fetch({ topic: "t", partition: 0, position: 2, maxBytes: 1, maxWaitMs: 0 }),
    (error: KeyfoldError) => error.code === "offset-out-of-range" && error.details.gap === 3,
  );
  now += 10 * DAY;
  await log.cleanNow();
  assert.deepEqual(await log.offsets([{ topic: "t", partition: 0 }]), [{ start: 10, end: 10 }]);
  await log.close();
  log = await openEmbeddedLog({ dir, flush: "os", clock: () => now });
  assert.deepEqual(await log.offsets([{ topic: "t", partition: 0 }]), [{ start: 10, end: 10 }]);
  await put(log, "new", "v", now);
  assert.deepEqual(await state(log), ["new=v"]);
  await log.close();
});

test("where appends are stamped, retention.ms counts from the append, whatever the events' own time", async (t) => {
  let now = 100 * DAY;
  const log = await openEmbeddedLog({ dir: await tempDir(t), flush: "os", clock: () => now });
  const config = { "cleanup.policy": "compact,delete", "retention.ms": String(DAY), "message.timestamp.type": "LogAppendTime" };
  await log.ensureTopic({ name: "t", partitions: 1, config });
  for (const key of ["a", "b", "a", "c"]) await put(log, key, "v", 7);
  await log.cleanNow();
  assert.deepEqual(await state(log), ["b=v", "a=v", "c=v"]);
  now += DAY + 1;
  await put(log, "d", "v", 8);
  await log.cleanNow();
  assert.deepEqual(await state(log), ["d=v"]);
  await log.close();
});

test("retention.bytes keeps at least so many bytes, over restarts too", async (t) => {
  const dir = await tempDir(t);
  let log = await openEmbeddedLog({ dir, flush: "os" });
  await log.ensureTopic({ name: "t", partitions: 1, config: { "retention.ms": "-1", "retention.bytes": "5000" } });
  const value = "x".repeat(915);
  let size = 0;
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 20; i++) {
      const batch = outBatch("t", 0, [[`${i % 10}`, value]]);
      size = batch.data.length;
      await log.append([batch]);
      if (i === 11) await log.cleanNow();
    }
    await log.cleanNow();
    const [range] = await log.offsets([{ topic: "t", partition: 0 }]);
    const left = ((range?.end ?? 0) - (range?.start ?? 0)) * size;
    assert.ok(left >= 5000 && left < 5000 + size, `${left} bytes left`);
    await log.close();
    log = await openEmbeddedLog({ dir, flush: "os" });
  }
  await log.close();
});

test("nothing goes from a topic that keeps everything, or is only compacted", async (t) => {
  let now = 100 * DAY;
  const log = await openEmbeddedLog({ dir: await tempDir(t), flush: "os", clock: () => now });
  await log.ensureTopic({ name: "t", partitions: 1, config: { "cleanup.policy": "compact", "retention.ms": "1" } });
  await log.ensureTopic({ name: "all", partitions: 1, config: { "retention.ms": "-1" } });
  await put(log, "a", "1", 5);
  await log.append([outBatch("all", 0, [["a", "1"]])]);
  now += 1000 * DAY;
  await log.cleanNow();
  assert.deepEqual(await state(log), ["a=1"]);
  assert.equal((await readAll(log, "all", 0)).length, 1);
  await log.close();
});

test("compaction keeps the last of each key, leaves holes, and keeps the tail", async (t) => {
  const log = await openEmbeddedLog({ dir: await tempDir(t), flush: "os" });
  await log.ensureTopic({ name: "t", partitions: 1, config: { "cleanup.policy": "compact" } });
  for (const [key, value] of [
    ["a", "1"],
    ["b", "1"],
    ["a", "2"],
    ["c", "1"],
    ["b", "2"],
    ["a", "3"],
    ["a", "4"],
  ] as const)
    await put(log, key, value, 7);
  await log.cleanNow();
  const rows = await readAll(log, "t", 0);
  // The last batch (a=4) is the active tail: what it supersedes stays until the tail moves on.
  assert.deepEqual(
    rows.map(({ offset, key, value, timestamp }) => [offset, key, value, timestamp]),
    [
      [3, "c", "1", 7],
      [4, "b", "2", 7],
      [5, "a", "3", 7],
      [6, "a", "4", 7],
    ],
  );
  assert.deepEqual(await log.offsets([{ topic: "t", partition: 0 }]), [{ start: 0, end: 7 }]);
  for (const position of [0, 1, 2, 3])
    assert.equal((await readAll(log, "t", 0, position))[0]?.offset, 3, "a position in a hole reads on after it");
  assert.equal(log.metrics().recordsCompacted, 3);
  await log.close();
});

test("records younger than min.compaction.lag.ms are not compacted", async (t) => {
  let now = 1_000_000;
  const log = await openEmbeddedLog({ dir: await tempDir(t), flush: "os", clock: () => now });
  await log.ensureTopic({ name: "t", partitions: 1, config: { "cleanup.policy": "compact", "min.compaction.lag.ms": "1000" } });
  for (let i = 0; i < 6; i++) await put(log, "k", `${i}`, now + i * 500);
  now += 2000;
  await log.cleanNow();
  assert.deepEqual(await state(log), ["k=2", "k=3", "k=4", "k=5"]);
  now += 10_000;
  await log.cleanNow();
  assert.deepEqual(await state(log), ["k=4", "k=5"]);
  await log.close();
});

test("a tombstone is found for delete.retention.ms after compaction met it, however old its timestamp", async (t) => {
  let now = 100 * DAY;
  const dir = await tempDir(t);
  let log = await openEmbeddedLog({ dir, flush: "os", clock: () => now });
  await log.ensureTopic({ name: "t", partitions: 1, config: { "cleanup.policy": "compact", "delete.retention.ms": "1000" } });
  await put(log, "a", "1", 1);
  await put(log, "a", null, 2);
  await put(log, "tail", "1", 3);
  await log.cleanNow();
  assert.deepEqual(await state(log), ["a=null", "tail=1"]);
  now += 999;
  await log.close();
  log = await openEmbeddedLog({ dir, flush: "os", clock: () => now });
  await log.cleanNow();
  assert.deepEqual(await state(log), ["a=null", "tail=1"]);
  now += 100;
  await log.cleanNow();
  assert.deepEqual(await state(log), ["tail=1"]);
  await log.close();
});

test("compact,delete does both", async (t) => {
  let now = 100 * DAY;
  const log = await openEmbeddedLog({ dir: await tempDir(t), flush: "os", clock: () => now });
  await log.ensureTopic({ name: "t", partitions: 1, config: { "cleanup.policy": "compact,delete", "retention.ms": String(DAY) } });
  await put(log, "old", "1", now - 2 * DAY);
  for (let i = 0; i < 4; i++) await put(log, "k", `${i}`, now);
  await log.cleanNow();
  assert.deepEqual(await state(log), ["k=2", "k=3"]);
  now += 2 * DAY;
  await log.cleanNow();
  assert.deepEqual(await log.offsets([{ topic: "t", partition: 0 }]), [{ start: 5, end: 5 }]);
  await log.close();
});

test("compaction agrees with a plain map: random keys, tombstones, restarts and rounds in between", async (t) => {
  const record = fc.record({ key: fc.nat(30), tombstone: fc.nat(3).map((n) => n === 0), size: fc.nat(300) });
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.array(record, { minLength: 1, maxLength: 60 }).map((records) => ({ kind: "append" as const, records })) },
    { weight: 2, arbitrary: fc.constant({ kind: "clean" as const }) },
    { weight: 1, arbitrary: fc.constant({ kind: "restart" as const }) },
    { weight: 2, arbitrary: fc.nat(1500).map((ms) => ({ kind: "wait" as const, ms })) },
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 5, maxLength: 40 }),
      fc.integer({ min: 61, max: 4000 }),
      fc.integer({ min: 20, max: 200 }),
      async (steps, maxBatchBytes, compactionKeys) => {
        let now = 10 * DAY;
        const dir = await tempDir(t);
        let log = await openEmbeddedLog({ dir, flush: "os", clock: () => now, compactionKeys });
        await log.ensureTopic({ name: "t", partitions: 1, config: { "cleanup.policy": "compact", "delete.retention.ms": "2000" } });
        const written: { key: string; value: string | null; at: number }[] = [];
        for (const one of steps) {
          if (one.kind === "append") {
            const builder = new BatchBuilder({ maxBatchBytes });
            for (const { key, tombstone, size } of one.records) {
              const value = tombstone ? null : `${written.length}:${"x".repeat(size)}`;
              builder.append(`key-${key}`, value === null ? null : Buffer.from(value), 5);
              written.push({ key: `key-${key}`, value, at: now });
            }
            await log.append([{ topic: "t", partition: 0, data: builder.finish(), count: builder.count }]);
          } else if (one.kind === "clean") await log.cleanNow();
          else if (one.kind === "wait") now += one.ms;
          else {
            await log.close();
            log = await openEmbeddedLog({ dir, flush: "os", clock: () => now, compactionKeys });
          }
          await agree(log, written, now);
        }
        await log.cleanNow();
        await agree(log, written, now);
        await log.close();
      },
    ),
    { seed, numRuns: 40 },
  );
});

/** Each record that is left is as written; the last of every key is there, or was a tombstone that had its time. */
async function agree(log: Open, written: readonly { key: string; value: string | null; at: number }[], now: number): Promise<void> {
  assert.deepEqual(await log.offsets([{ topic: "t", partition: 0 }]), [{ start: 0, end: written.length }]);
  const last = new Map(written.map(({ key }, offset) => [key, offset]));
  const rows = await readAll(log, "t", 0);
  const seen = new Set<number>();
  let previous = -1;
  for (const { offset, key, value } of rows) {
    assert.ok(offset > previous, "offsets ascend");
    previous = offset;
    seen.add(offset);
    assert.deepEqual({ key, value }, { key: written[offset]?.key, value: written[offset]?.value });
  }
  for (const [key, offset] of last) {
    if (seen.has(offset)) continue;
    const record = written[offset];
    assert.ok(record?.value === null && now - record.at >= 2000, `${key} lost its last record at ${offset}`);
    assert.ok(!rows.some((row) => row.key === key), `${key} has come back from the dead`);
  }
}

test("a large topic is compacted in several steps, with small batches joined, while readers and writers go on", async (t) => {
  const log = await openEmbeddedLog({ dir: await tempDir(t), flush: "os" });
  await log.ensureTopic({ name: "t", partitions: 1, config: { "cleanup.policy": "compact" } });
  const last = new Map<string, string>();
  const appendMore = async (n: number): Promise<void> => {
    const pairs = Array.from({ length: 100 }, (_, i) => [`key-${(n * 7919 + i * 31) % 500}`, `${n}.${i} ${"v".repeat(80)}`] as const);
    await log.append([outBatch("t", 0, pairs)]);
    for (const [key, value] of pairs) last.set(key, value);
  };
  for (let n = 0; n < 300; n++) await appendMore(n);
  const cleaning = log.cleanNow();
  for (let n = 300; n < 330; n++) {
    await appendMore(n);
    const state = new Map((await readAll(log, "t", 0)).map(({ key, value }) => [key, value]));
    assert.deepEqual(state, new Map(last));
  }
  await cleaning;
  await log.cleanNow();
  const rows = await readAll(log, "t", 0);
  assert.deepEqual(new Map(rows.map(({ key, value }) => [key, value])), new Map(last));
  assert.ok(rows.length <= 600, `${rows.length} records left of 33 000`);
  await log.close();
});

test("more keys than fit into memory are compacted in several passes", async (t) => {
  const log = await openEmbeddedLog({ dir: await tempDir(t), flush: "os", compactionKeys: 150 });
  await log.ensureTopic({ name: "t", partitions: 1, config: { "cleanup.policy": "compact" } });
  for (let n = 0; n < 3; n++) {
    for (let from = 0; from < 1000; from += 100)
      await log.append([
        outBatch(
          "t",
          0,
          Array.from({ length: 100 }, (_, i) => [`${from + i}`, `${n}`] as const),
        ),
      ]);
  }
  await log.append([outBatch("t", 0, [["tail", "1"]])]);
  await log.cleanNow();
  const rows = await readAll(log, "t", 0);
  assert.deepEqual(
    rows.map(({ offset }) => offset),
    Array.from({ length: 1001 }, (_, i) => 2000 + i),
  );
  await log.close();
});

test("a topic deleted, and a log closed, in the middle of compaction leave nothing behind", async (t) => {
  const dir = await tempDir(t);
  let log = await openEmbeddedLog({ dir, flush: "os" });
  const config = { "cleanup.policy": "compact" };
  const fillTopic = async (): Promise<void> => {
    await log.ensureTopic({ name: "t", partitions: 1, config });
    for (let n = 0; n < 20; n++)
      await log.append([
        outBatch(
          "t",
          0,
          Array.from({ length: 500 }, (_, i) => [`${i}`, `${n} ${"v".repeat(80)}`] as const),
        ),
      ]);
  };
  await fillTopic();
  const cleaning = log.cleanNow();
  await log.append([outBatch("t", 0, [["between", "steps"]])]);
  await log.deleteTopic("t");
  await cleaning;
  for (let restart = 0; restart < 2; restart++) {
    await log.close();
    log = await openEmbeddedLog({ dir, flush: "os" });
    await log.ensureTopic({ name: "t", partitions: 1, config });
    assert.deepEqual(await log.offsets([{ topic: "t", partition: 0 }]), [{ start: 0, end: 0 }]);
  }
  await fillTopic();
  const cut = log.cleanNow();
  await log.append([outBatch("t", 0, [["between", "steps"]])]);
  await Promise.all([log.close(), cut]);
  log = await openEmbeddedLog({ dir, flush: "os" });
  const state = new Map((await readAll(log, "t", 0)).map(({ key, value }) => [key, value]));
  assert.equal(state.size, 501);
  for (let i = 0; i < 500; i++) assert.match(state.get(`${i}`) ?? "", /^19 /);
  await log.close();
});

test("the offset map is a map of bytes", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.string({ maxLength: 3 }), fc.nat()), { maxLength: 3000 }), (entries) => {
      const map = new OffsetMap(3000);
      const model = new Map<string, number>();
      for (const [key, offset] of entries) {
        const bytes = Buffer.from(`<${key}>`);
        map.set(bytes, 1, bytes.length - 1, offset);
        model.set(key, offset);
      }
      assert.equal(map.size, model.size);
      for (const [key, offset] of model) assert.equal(map.get(Buffer.from(key), 0, Buffer.byteLength(key)), offset);
      assert.equal(map.get(Buffer.from("not there"), 0, 9), -1);
    }),
    { seed, numRuns: 50 },
  );
  const full = new OffsetMap(10);
  const set = (key: string, offset: number): void => full.set(Buffer.from(key), 0, key.length, offset);
  for (let n = 0; n < 10; n++) {
    assert.equal(full.full, false);
    set(`${n}`, n);
  }
  assert.equal(full.full, true);
  assert.throws(() => set("more", 1), RangeError);
  set("3", 33);
  assert.equal(full.get(Buffer.from("3"), 0, 1), 33);
});

test("times at which tombstones were seen stay few, and never let one go early", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(100), fc.nat(500)), { maxLength: 200 }),
      fc.integer({ min: 0, max: 2000 }),
      (rounds, retentionMs) => {
        let seen: readonly (readonly [number, number])[] = [];
        const truth: [number, number][] = [];
        let [offset, now] = [0, 0];
        for (const [more, pause] of rounds) {
          offset += more;
          now += pause;
          seen = noteSeen(seen, offset, retentionMs, now);
          truth.push([offset, now]);
          assert.ok(
            expiredBelow(seen, retentionMs, now) <=
              Math.max(0, ...truth.filter(([, at]) => at + retentionMs <= now).map(([below]) => below)),
          );
          assert.ok(seen.length <= 20, `${seen.length} entries`);
        }
        assert.equal(expiredBelow(seen, retentionMs, now + retentionMs), offset);
      },
    ),
    { seed, numRuns: 300 },
  );
});
