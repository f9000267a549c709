import assert from "node:assert/strict";
import { test } from "node:test";
import type { KeyfoldError } from "../../../runtime/errors.ts";
import { partitionOf } from "../../../runtime/log/partitioner.ts";
import { countRecords, decodeBatches, keyBytes, keyText } from "../../../runtime/log/record-batch.ts";
import { describeKafka } from "../../fixtures/kafka-broker.ts";
import { until } from "../../fixtures/until.ts";
import { outBatch, readAll } from "../helpers.ts";
import { newTopic, openLog } from "./helpers.ts";

describeKafka("kafka: reading what others wrote", { listener: "proxied" }, (broker) => {
  test("of transactions only what was committed, an int32 key 0 in an aborted one or not", async (t) => {
    const log = await openLog(t, broker().brokers);
    const topic = await newTopic(log, 2);
    const java = await broker().java();
    await log.append([outBatch(topic, 0, [["before", "0"]])]);
    await java.transaction("tx-a", topic, "abort", ["0:#0", "0:aborted", "1:aborted", "0:#0"]);
    await java.transaction("tx-b", topic, "commit", ["0:committed", "1:committed", "0:#0"]);
    await log.append([outBatch(topic, 0, [["between", "1"]])]);
    await java.transaction("tx-a", topic, "commit", ["0:second-try"]);
    await java.transaction("tx-b", topic, "abort", ["0:gone"]);
    const rows = await readAll(log, topic, 0);
    assert.deepEqual(
      rows.map(({ key }) => key),
      ["before", "committed", "\0\0\0\0", "between", "second-try"],
    );
    assert.deepEqual(
      (await readAll(log, topic, 1)).map(({ key }) => key),
      ["committed"],
    );
    const [range] = await log.offsets([{ topic, partition: 0 }]);
    // From every position, the ones inside aborted transactions included, the reader gets to the end.
    for (let position = 0; position < (range?.end ?? 0); position++) {
      let at = position;
      const found: number[] = [];
      while (at < (range?.end ?? 0)) {
        const { data, next } = await log.fetch({ topic, partition: 0, position: at, maxBytes: 1, maxWaitMs: 0 });
        const batch = decodeBatches(data, { from: at });
        found.push(...batch.offsets.subarray(0, batch.length));
        assert.ok(next > at, `stuck at ${at}`);
        at = next;
      }
      assert.deepEqual(
        found,
        rows.map(({ offset }) => offset).filter((offset) => offset >= position),
      );
    }
  });

  test("an open transaction holds readers back until it times out, and is never seen", async (t) => {
    const log = await openLog(t, broker().brokers);
    const topic = await newTopic(log);
    const java = await broker().java();
    await java.transaction("tx-open", topic, "open", ["0:open"]);
    await log.append([outBatch(topic, 0, [["after", "1"]])]);
    assert.deepEqual(await log.offsets([{ topic, partition: 0 }]), [{ start: 0, end: 0 }]);
    // Its time is up after a second; the wait ends with the abort marker.
    const { data, next } = await log.fetch({ topic, partition: 0, position: 0, maxBytes: 1000, maxWaitMs: 60_000 });
    assert.deepEqual(
      [...Array(decodeBatches(data).length).keys()].map((i) => keyText(decodeBatches(data), i)),
      ["after"],
    );
    assert.ok(next >= 2);
  });

  test("every compression that Java writes", async (t) => {
    const log = await openLog(t, broker().brokers);
    const java = await broker().java();
    for (const compression of ["none", "gzip", "snappy", "lz4", "zstd"]) {
      const topic = await newTopic(log);
      await java.produce(topic, 0, compression, "k", 3000, 200);
      const rows = await readAll(log, topic, 0);
      assert.equal(rows.length, 3000, compression);
      rows.forEach(({ key, value, offset }, i) => {
        assert.equal(key, `k${i}`);
        assert.equal(offset, i);
        assert.equal(value?.length, 200);
        assert.ok(value?.startsWith(`k${i}/`));
      });
    }
  });

  test("every compression that we write is read by Java, and by us", async (t) => {
    for (const compression of ["none", "gzip", "snappy", "lz4", "zstd"] as const) {
      const log = await openLog(t, broker().brokers, { compression });
      const topic = await newTopic(log);
      const pairs = Array.from({ length: 2000 }, (_, i) => [`k${i}`, `value-of-${i % 100}-${"x".repeat(i % 80)}`] as const);
      await log.append([outBatch(topic, 0, pairs)]);
      const expected = pairs.map(([key, value]) => `0:${key}=${value}`);
      assert.deepEqual(await (await broker().java()).read(topic), expected, compression);
      assert.deepEqual(
        (await readAll(log, topic, 0)).map(({ key, value }) => `0:${key}=${value}`),
        expected,
        compression,
      );
    }
  });

  test("holes that compaction made, the whole rest of the log among them, stall nothing", async (t) => {
    const log = await openLog(t, broker().brokers);
    const topic = await newTopic(log, 1, {
      "cleanup.policy": "compact",
      "min.cleanable.dirty.ratio": "0.01",
      "segment.ms": "100",
      "delete.retention.ms": "0",
      "message.timestamp.type": "LogAppendTime",
    });
    for (let round = 0; round < 6; round++)
      await log.append([
        outBatch(
          topic,
          0,
          Array.from({ length: 200 }, (_, i) => [`k${i % 20}`, `${round}-${i}`] as const),
        ),
      ]);
    await log.append([
      outBatch(
        topic,
        0,
        Array.from({ length: 20 }, (_, i) => [`k${i}`, i < 10 ? null : "last"] as const),
      ),
    ]);
    let round = 0;
    const rows = await until("compaction", async () => {
      await log.append([outBatch(topic, 0, [["roll", `${round++}`]])]);
      const found = await readAll(log, topic, 0);
      return found.filter(({ key }) => key?.startsWith("k")).length <= 20 ? found : undefined;
    });
    assert.ok(
      rows.some(({ offset }, i) => offset !== i),
      "there are holes",
    );
    assert.deepEqual(
      rows.filter(({ key, value }) => key?.startsWith("k") && value !== null).map(({ key, value }) => [key, value]),
      Array.from({ length: 10 }, (_, i) => [`k${i + 10}`, "last"]),
    );
    const [range] = await log.offsets([{ topic, partition: 0 }]);
    for (let at = 0; at < (range?.end ?? 0); ) {
      const { next } = await log.fetch({ topic, partition: 0, position: at, maxBytes: 1, maxWaitMs: 0 });
      assert.ok(next > at, `stuck at ${at}`);
      at = next;
    }
  });

  test("records deleted below the position are an error that says how many, not a silent jump", async (t) => {
    const log = await openLog(t, broker().brokers);
    const topic = await newTopic(log);
    await log.append([
      outBatch(
        topic,
        0,
        Array.from({ length: 100 }, (_, i) => [`k${i}`, "v"] as const),
        100,
      ),
    ]);
    await (await broker().java()).deleteRecords(topic, 0, 60);
    await assert.rejects(log.fetch({ topic, partition: 0, position: 25, maxBytes: 1000, maxWaitMs: 0 }), (error: KeyfoldError) => {
      assert.equal(error.code, "offset-out-of-range");
      assert.match(error.message, /35 are gone/);
      const { start, end, gap } = error.details;
      assert.deepEqual({ start, end, gap }, { start: 60, end: 100, gap: 35 });
      return true;
    });
    assert.equal((await readAll(log, topic, 0, 60))[0]?.offset, 60);
  });

  test("a byte changed on the way is read again; one changed for good is an error that names the batch", async (t) => {
    const { proxy } = broker();
    const log = await openLog(t, proxy.brokers);
    const topic = await newTopic(log);
    await log.append([
      outBatch(topic, 0, [
        ["a", "some value"],
        ["b", "another value"],
      ]),
    ]);
    proxy.inject("Fetch", { kind: "damage-answer" });
    assert.deepEqual(
      (await readAll(log, topic, 0)).map(({ value }) => value),
      ["some value", "another value"],
    );
    assert.deepEqual(proxy.fired, ["Fetch:damage-answer"]);
    proxy.reset();
    proxy.inject("Fetch", { kind: "damage-answer" }, 3);
    await assert.rejects(log.fetch({ topic, partition: 0, position: 0, maxBytes: 1000, maxWaitMs: 0 }), (error: KeyfoldError) => {
      assert.equal(error.code, "log-corrupt");
      assert.match(error.message, new RegExp(`offset 0 of ${topic}-0.*checksum`));
      return true;
    });
    assert.equal(proxy.fired.length, 3);
    proxy.reset();
  });

  test("a batch larger than maxBytes, and many partitions in one answer", async (t) => {
    const log = await openLog(t, broker().brokers);
    const topic = await newTopic(log, 8);
    const large = "x".repeat(700_000);
    await log.append(
      Array.from({ length: 8 }, (_, partition) =>
        outBatch(
          topic,
          partition,
          [
            [`p${partition}`, large],
            ["small", "1"],
          ],
          1024,
        ),
      ),
    );
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, partition) => log.fetch({ topic, partition, position: 0, maxBytes: 1000, maxWaitMs: 1000 })),
    );
    answers.forEach(({ data, next }, partition) => {
      assert.ok(next >= 1 && countRecords(data) >= 1);
      assert.equal(keyText(decodeBatches(data), 0), `p${partition}`);
    });
  });

  test("1 000 keys go where Java's partitioner puts them", async () => {
    const keys = Array.from({ length: 1000 }, (_, i) => (i % 5 === 0 ? `schlüssel-🔑-${i}` : `${"k".repeat(i % 23)}${i * 7919}`));
    for (const partitions of [4, 7, 64]) {
      assert.deepEqual(
        await (await broker().java()).partitions(keys, partitions),
        keys.map((key) => partitionOf(key, partitions)),
      );
    }
  });

  test("keys and values as Java wrote them, byte for byte", async (t) => {
    const log = await openLog(t, broker().brokers);
    const topic = await newTopic(log);
    await (await broker().java()).transaction("tx-bytes", topic, "commit", ["0:#-2147483648", "0:plain"]);
    // Java says that it is committed before it can be read.
    const { data } = await log.fetch({ topic, partition: 0, position: 0, maxBytes: 10_000, maxWaitMs: 20_000 });
    const batch = decodeBatches(data);
    assert.deepEqual([keyBytes(batch, 0)?.toString("hex"), keyText(batch, 1)], ["80000000", "plain"]);
  });
});
