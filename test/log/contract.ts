import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, test } from "node:test";
import type { ErrorCode, KeyfoldError } from "../../runtime/errors.ts";
import type { Log } from "../../runtime/log/log.ts";
import { BatchBuilder, decodeBatches, keyBytes, NO_TIMESTAMP, valueBytes } from "../../runtime/log/record-batch.ts";
import { outBatch, readAll } from "./helpers.ts";

/** Where a log keeps its data during the tests: what one open() wrote, the next one must find. */
export interface Ground {
  open(): Promise<Log>;
  cleanup(): Promise<void>;
}

const NOWHERE = { maxBytes: 1024 * 1024, maxWaitMs: 0 };
/** Longer than any test may take: a wait that ends by itself has not been woken. */
const FOREVER = 60_000;

function fails(code: ErrorCode, mentions: RegExp = /./): (error: KeyfoldError) => boolean {
  return (error) => {
    assert.equal(error.code, code, error.stack);
    assert.match(error.message, mentions);
    return true;
  };
}

/** What every Log must do; written against the interface alone, so that it runs on each adapter. */
export function logContract(name: string, prepare: () => Promise<Ground>): void {
  describe(`${name} log`, () => {
    let ground: Ground;
    let log: Log;
    before(async () => {
      ground = await prepare();
      log = await ground.open();
    });
    after(async () => {
      await log.close();
      await ground.cleanup();
    });
    const newTopic = async (partitions = 1, config: Record<string, string> = {}): Promise<string> => {
      const topic = `t-${randomUUID()}`;
      await log.ensureTopic({ name: topic, partitions, config });
      return topic;
    };

    test("a topic is created once, described and listed", async () => {
      const topic = await newTopic(3, { "cleanup.policy": "compact" });
      const again = await log.ensureTopic({ name: topic, partitions: 3, config: { "cleanup.policy": "compact" } });
      assert.equal(again.partitions, 3);
      await log.ensureTopic({ name: topic, partitions: 3 });
      const described = await log.describe(topic);
      assert.equal(described?.partitions, 3);
      assert.equal(described?.config["cleanup.policy"], "compact");
      assert.ok((await log.topics()).some((one) => one.name === topic && one.partitions === 3));
      assert.equal(await log.describe(`no-${topic}`), undefined);
    });

    test("a topic that differs from what is asked for is refused, with both values named", async () => {
      const topic = await newTopic(2, { "cleanup.policy": "compact" });
      await assert.rejects(log.ensureTopic({ name: topic, partitions: 5 }), fails("topic-mismatch", /2.*5/));
      await assert.rejects(
        log.ensureTopic({ name: topic, partitions: 2, config: { "cleanup.policy": "delete" } }),
        fails("topic-mismatch", /compact.*delete/),
      );
    });

    test("two at once create one topic", async () => {
      const spec = { name: `t-${randomUUID()}`, partitions: 2 };
      const [a, b] = await Promise.all([log.ensureTopic(spec), log.ensureTopic(spec)]);
      assert.deepEqual([a.partitions, b.partitions], [2, 2]);
    });

    test("records come back as they went in", async () => {
      const topic = await newTopic();
      const builder = new BatchBuilder();
      const headers = [
        ["trace", Buffer.from("x-1")],
        ["trace", null],
        ["ünï", Buffer.alloc(0)],
      ] as const;
      builder.append("key", Buffer.from("value"), 1_700_000_000_123, headers);
      builder.append("schlüssel-🔑", Buffer.from([0, 255, 128]), 1_600_000_000_000);
      builder.append(Buffer.alloc(4), Buffer.alloc(0), 1_750_000_000_000);
      builder.append(null, null, 1_700_000_000_000);
      builder.append("", Buffer.alloc(100_000, "x"), 1_700_000_000_000);
      assert.deepEqual(await log.append([{ topic, partition: 0, data: builder.finish(), count: builder.count }]), [0]);
      const { data, next, end } = await log.fetch({ topic, partition: 0, position: 0, ...NOWHERE });
      assert.deepEqual([next, end], [5, 5]);
      const batch = decodeBatches(data);
      assert.deepEqual([...batch.offsets.subarray(0, batch.length)], [0, 1, 2, 3, 4]);
      assert.deepEqual(
        [...batch.timestamps.subarray(0, batch.length)],
        [1_700_000_000_123, 1_600_000_000_000, 1_750_000_000_000, 1_700_000_000_000, 1_700_000_000_000],
      );
      assert.deepEqual(
        [0, 1, 2, 3, 4].map((i) => keyBytes(batch, i)?.toString("hex") ?? null),
        [Buffer.from("key").toString("hex"), Buffer.from("schlüssel-🔑").toString("hex"), "00000000", null, ""],
      );
      assert.deepEqual(
        [0, 1, 2, 3].map((i) => valueBytes(batch, i)?.toString("hex") ?? null),
        [Buffer.from("value").toString("hex"), "00ff80", "", null],
      );
      assert.equal(valueBytes(batch, 4)?.length, 100_000);
      assert.deepEqual(
        batch.headers?.[0]?.map(([header, value]) => [header, value === null ? null : Buffer.from(value).toString()]),
        [
          ["trace", "x-1"],
          ["trace", null],
          ["ünï", ""],
        ],
      );
      assert.equal(batch.headers?.[1] ?? null, null);
    });

    test("records without a timestamp get the time of their append", async () => {
      const topic = await newTopic();
      const builder = new BatchBuilder();
      builder.append("a", null, NO_TIMESTAMP);
      builder.append("b", null, 77);
      builder.append("c", null, NO_TIMESTAMP);
      const since = Date.now();
      await log.append([{ topic, partition: 0, data: builder.finish(), count: 3 }]);
      const [a, b, c] = await readAll(log, topic, 0);
      assert.equal(b?.timestamp, 77);
      for (const stamp of [a?.timestamp ?? 0, c?.timestamp ?? 0])
        assert.ok(stamp >= since - 1000 && stamp <= Date.now() + 1000, String(stamp));
    });

    test("a topic may give its records the time of their append, whatever their own", async () => {
      const topic = await newTopic(1, { "message.timestamp.type": "LogAppendTime" });
      const builder = new BatchBuilder();
      builder.append("a", Buffer.from("1"), 77);
      builder.append("b", Buffer.from("2"), 88);
      const since = Date.now();
      await log.append([{ topic, partition: 0, data: builder.finish(), count: 2 }]);
      const rows = await readAll(log, topic, 0);
      assert.deepEqual(
        rows.map(({ key, value }) => `${key}=${value}`),
        ["a=1", "b=2"],
      );
      for (const { timestamp } of rows) assert.ok(timestamp >= since - 1000 && timestamp <= Date.now() + 1000, String(timestamp));
    });

    test("one append reaches several partitions and topics, each with offsets of its own", async () => {
      const [one, two] = [await newTopic(2), await newTopic(1)];
      await log.append([outBatch(one, 0, [["x", "0"]])]);
      const bases = await log.append([
        outBatch(one, 0, [
          ["a", "1"],
          ["b", "2"],
        ]),
        outBatch(one, 1, [["c", "3"]]),
        outBatch(two, 0, [["d", "4"]]),
        outBatch(one, 0, [["e", "5"]]),
      ]);
      assert.deepEqual(bases, [1, 0, 0, 3]);
      assert.deepEqual(
        (await readAll(log, one, 0)).map(({ key, offset }) => [key, offset]),
        [
          ["x", 0],
          ["a", 1],
          ["b", 2],
          ["e", 3],
        ],
      );
      assert.deepEqual(
        await log.offsets([
          { topic: one, partition: 0 },
          { topic: one, partition: 1 },
          { topic: two, partition: 0 },
        ]),
        [
          { start: 0, end: 4 },
          { start: 0, end: 1 },
          { start: 0, end: 1 },
        ],
      );
      assert.deepEqual(await log.append([]), []);
    });

    test("reading goes on where the last answer said, in the middle of a batch too", async () => {
      const topic = await newTopic();
      const pairs = Array.from({ length: 5000 }, (_, i) => [`k${i}`, "v".repeat(40)] as const);
      const [base] = await log.append([outBatch(topic, 0, pairs, 4096)]);
      assert.equal(base, 0);
      const rows = await readAll(log, topic, 0, 0, 10_000);
      assert.deepEqual(
        rows.map(({ offset }) => offset),
        pairs.map((_, i) => i),
      );
      assert.deepEqual(
        rows.map(({ key }) => key),
        pairs.map(([key]) => key),
      );
      assert.deepEqual(
        (await readAll(log, topic, 0, 1234, 10_000)).map(({ key }) => key),
        pairs.slice(1234).map(([key]) => key),
      );
      const little = await log.fetch({ topic, partition: 0, position: 0, maxBytes: 1, maxWaitMs: 0 });
      assert.ok(little.next > 0 && little.next < 5000, "one batch however small maxBytes is");
    });

    test("at the end there is nothing, at once or after the wait", async () => {
      const topic = await newTopic();
      await log.append([outBatch(topic, 0, [["a", "1"]])]);
      for (const maxWaitMs of [0, 30]) {
        const { data, next, end } = await log.fetch({ topic, partition: 0, position: 1, maxBytes: 1000, maxWaitMs });
        assert.deepEqual([data.length, next, end], [0, 1, 1]);
      }
    });

    test("an append wakes all who wait for its partition", async () => {
      const topic = await newTopic(2);
      const waiting = [1, 2, 3].map(() => log.fetch({ topic, partition: 1, position: 0, maxBytes: 1000, maxWaitMs: FOREVER }));
      await log.append([outBatch(topic, 0, [["other", "0"]])]);
      await log.append([outBatch(topic, 1, [["a", "1"]])]);
      for (const { data, next } of await Promise.all(waiting)) {
        assert.equal(next, 1);
        assert.equal(decodeBatches(data).length, 1);
      }
    });

    test("a wait ends when its signal is aborted, before or while it waits", async () => {
      const topic = await newTopic();
      const controller = new AbortController();
      const request = { topic, partition: 0, position: 0, maxBytes: 1000, maxWaitMs: FOREVER, signal: controller.signal };
      const waiting = log.fetch(request);
      setImmediate(() => controller.abort());
      for (const { data, next } of [await waiting, await log.fetch(request)]) assert.deepEqual([data.length, next], [0, 0]);
    });

    test("a position outside the log is refused, with the gap", async () => {
      const topic = await newTopic();
      await log.append([outBatch(topic, 0, [["a", "1"]])]);
      await assert.rejects(log.fetch({ topic, partition: 0, position: 11, ...NOWHERE }), (error: KeyfoldError) => {
        assert.equal(error.code, "offset-out-of-range");
        assert.match(error.message, /10/);
        const { position, start, end, gap } = error.details;
        assert.deepEqual({ position, start, end, gap }, { position: 11, start: 0, end: 1, gap: 10 });
        return true;
      });
    });

    test("topics and partitions that are not there are named", async () => {
      const topic = await newTopic(2);
      await assert.rejects(log.fetch({ topic: `no-${topic}`, partition: 0, position: 0, ...NOWHERE }), fails("topic-unknown", /no-t-/));
      await assert.rejects(log.append([outBatch(`no-${topic}`, 0, [["a", "1"]])]), fails("topic-unknown"));
      await assert.rejects(log.append([outBatch(topic, 2, [["a", "1"]])]), fails("partition-unknown"));
      await assert.rejects(log.fetch({ topic, partition: 2, position: 0, ...NOWHERE }), fails("partition-unknown"));
      await assert.rejects(log.offsets([{ topic, partition: 2 }]), fails("partition-unknown"));
    });

    test("bytes that are not batches are refused, and harm nobody else", async () => {
      const topic = await newTopic();
      const good = outBatch(topic, 0, [
        ["a", "1"],
        ["b", "2"],
      ]);
      const bad = { topic, partition: 0, data: good.data.slice(0, good.data.length - 3), count: 2 };
      const results = await Promise.allSettled([
        log.append([bad]),
        log.append([good]),
        log.append([{ ...outBatch(topic, 0, [["c", "3"]]), count: 7 }]),
      ]);
      assert.deepEqual(
        results.map(({ status }) => status),
        ["rejected", "fulfilled", "rejected"],
      );
      for (const result of results) if (result.status === "rejected") fails("log-corrupt")(result.reason as KeyfoldError);
      assert.deepEqual(
        (await readAll(log, topic, 0)).map(({ key }) => key),
        ["a", "b"],
      );
    });

    test("appends at the same time are each whole, in order, once", async () => {
      const topic = await newTopic();
      const appends = Array.from({ length: 40 }, (_, n) =>
        log.append([
          outBatch(
            topic,
            0,
            Array.from({ length: 25 }, (_, i) => [`${n}`, `${i}`] as const),
          ),
        ]),
      );
      const bases = (await Promise.all(appends)).map(([base]) => base ?? -1);
      const rows = await readAll(log, topic, 0);
      assert.equal(rows.length, 1000);
      bases.forEach((base, n) => {
        assert.deepEqual(
          rows.slice(base, base + 25).map(({ key, value }) => `${key}:${value}`),
          Array.from({ length: 25 }, (_, i) => `${n}:${i}`),
        );
      });
      assert.deepEqual(
        [...bases].sort((a, b) => a - b),
        bases,
        "in the order in which they were asked for",
      );
    });

    for (const atomic of [true, false]) {
      test(`a commit (${atomic ? "atomic" : "not atomic"}) holds records and offsets`, async () => {
        const [input, output] = [await newTopic(2), await newTopic(2)];
        const group = `g-${randomUUID()}`;
        await log.append([
          outBatch(input, 0, [
            ["a", "1"],
            ["b", "2"],
          ]),
        ]);
        const partitions = [
          { topic: input, partition: 0 },
          { topic: input, partition: 1 },
        ];
        assert.deepEqual(await log.committed(group, partitions), [undefined, undefined]);
        const batches = [
          outBatch(output, 1, [
            ["x", "1"],
            ["y", "2"],
          ]),
          outBatch(output, 0, [["z", "3"]]),
        ];
        const bases = await log.commit({
          group,
          producer: `${group}-0_0`,
          atomic,
          batches,
          offsets: [{ topic: input, partition: 0, offset: 2, metadata: "stream time 7" }],
        });
        assert.deepEqual(bases, [0, 0]);
        const [first, second] = await log.committed(group, partitions);
        assert.deepEqual({ ...first }, { topic: input, partition: 0, offset: 2, metadata: "stream time 7" });
        assert.equal(second, undefined);
        assert.deepEqual(
          (await readAll(log, output, 1)).map(({ key, offset }) => [key, offset]),
          [
            ["x", 0],
            ["y", 1],
          ],
        );
        assert.deepEqual(
          (await readAll(log, output, 0)).map(({ key }) => key),
          ["z"],
        );
        await log.commit({
          group,
          producer: `${group}-0_0`,
          atomic,
          batches: [],
          offsets: [
            { topic: input, partition: 0, offset: 1 },
            { topic: input, partition: 1, offset: 0 },
          ],
        });
        assert.deepEqual(
          (await log.committed(group, partitions)).map((commit) => commit?.offset),
          [1, 0],
        );
        const more = await log.commit({
          group,
          producer: `${group}-0_0`,
          atomic,
          batches: [outBatch(output, 0, [["z", "4"]])],
          offsets: [],
        });
        assert.deepEqual(
          (await readAll(log, output, 0)).map(({ offset }) => offset),
          [0, more[0]],
        );
        const [range] = await log.offsets([{ topic: output, partition: 0 }]);
        const tail = await log.fetch({ topic: output, partition: 0, position: (more[0] ?? 0) + 1, ...NOWHERE });
        assert.equal(tail.next, range?.end, "past the last record a reader's position still reaches the end");
        await log.deleteGroup(group);
        assert.deepEqual(await log.committed(group, partitions), [undefined, undefined]);
      });
    }

    test("a deleted topic is gone, and may be created anew, empty", async () => {
      const topic = await newTopic();
      await log.append([outBatch(topic, 0, [["a", "1"]])]);
      await log.deleteTopic(topic);
      assert.equal(await log.describe(topic), undefined);
      await assert.rejects(log.deleteTopic(topic), fails("topic-unknown"));
      await log.ensureTopic({ name: topic, partitions: 2 });
      assert.deepEqual(
        await log.offsets([
          { topic, partition: 0 },
          { topic, partition: 1 },
        ]),
        [
          { start: 0, end: 0 },
          { start: 0, end: 0 },
        ],
      );
    });

    test("50 000 records in one append", async () => {
      const topic = await newTopic();
      const pairs = Array.from({ length: 50_000 }, (_, i) => [`key-${i}`, `value ${i}`] as const);
      await log.append([outBatch(topic, 0, [["first", ""]]), outBatch(topic, 0, pairs)]);
      const rows = await readAll(log, topic, 0);
      assert.equal(rows.length, 50_001);
      assert.ok(rows.every(({ offset }, i) => offset === i));
      assert.equal(rows[50_000]?.value, "value 49999");
    });

    test("closing ends waits, is harmless twice, and what was written is there afterwards", async () => {
      const topic = await newTopic();
      const group = `g-${randomUUID()}`;
      await log.commit({
        group,
        producer: group,
        atomic: true,
        batches: [outBatch(topic, 0, [["a", "1"]])],
        offsets: [{ topic, partition: 0, offset: 5, metadata: "m" }],
      });
      const [range] = await log.offsets([{ topic, partition: 0 }]);
      const waiting = log.fetch({ topic, partition: 0, position: range?.end ?? 0, maxBytes: 1000, maxWaitMs: FOREVER });
      const ended = assert.rejects(waiting, fails("log-closed"));
      await Promise.all([log.close(), log.close()]);
      await ended;
      await assert.rejects(log.fetch({ topic, partition: 0, position: 0, ...NOWHERE }), fails("log-closed"));
      await assert.rejects(log.append([outBatch(topic, 0, [["b", "2"]])]), fails("log-closed"));
      log = await ground.open();
      assert.deepEqual(
        (await readAll(log, topic, 0)).map(({ key, value }) => [key, value]),
        [["a", "1"]],
      );
      assert.equal((await log.committed(group, [{ topic, partition: 0 }]))[0]?.offset, 5);
      const [next] = await log.append([outBatch(topic, 0, [["b", "2"]])]);
      assert.equal(next, range?.end);
    });
  });
}
