import assert from "node:assert/strict";
import { test } from "node:test";
import type { KeyfoldError } from "../../../runtime/errors.ts";
import type { OffsetCommit } from "../../../runtime/log/log.ts";
import { describeKafka } from "../../fixtures/kafka-broker.ts";
import { outBatch, readAll } from "../helpers.ts";
import { newGroup, newTopic, openLog } from "./helpers.ts";

const isFenced = (error: KeyfoldError): boolean => {
  assert.equal(error.code, "fenced", error.stack);
  assert.equal(error.remedy, "migrated");
  return true;
};

describeKafka("kafka: committing", { java: true }, (broker) => {
  test("a zombie is fenced, and what it had open is never seen", async (t) => {
    const [zombie, owner] = [await openLog(t, broker().brokers), await openLog(t, broker().brokers)];
    const [input, output] = [await newTopic(zombie), await newTopic(zombie)];
    const group = newGroup();
    const producer = `${group}-0_0`;
    const commit = (value: string, offset: number) => ({
      group,
      producer,
      atomic: true,
      offsets: [{ topic: input, partition: 0, offset }],
      batches: [outBatch(output, 0, [["k", value]])],
    });
    await zombie.openProducer(producer);
    await zombie.commit(commit("1", 1));
    await owner.openProducer(producer);
    // From here on the old owner can do nothing more, however late it comes.
    await assert.rejects(zombie.commit(commit("zombie", 2)), isFenced);
    assert.equal((await owner.committed(group, [{ topic: input, partition: 0 }]))[0]?.offset, 1);
    await owner.commit(commit("2", 2));
    await assert.rejects(zombie.commit(commit("zombie", 3)), isFenced);
    await owner.commit(commit("3", 3));
    assert.deepEqual(
      (await readAll(owner, output, 0)).map(({ value }) => value),
      ["1", "2", "3"],
    );
    assert.equal((await owner.committed(group, [{ topic: input, partition: 0 }]))[0]?.offset, 3);
    // The task comes back: the same log may own it again, and then the other may not.
    await zombie.openProducer(producer);
    await zombie.commit(commit("4", 4));
    await assert.rejects(owner.commit(commit("too late", 5)), isFenced);
    assert.deepEqual(
      (await readAll(owner, output, 0)).map(({ value }) => value),
      ["1", "2", "3", "4"],
    );
  });

  test("a commit that cannot be leaves nothing behind, and the next one works", async (t) => {
    const log = await openLog(t, broker().brokers);
    const [input, output] = [await newTopic(log), await newTopic(log, 1, { "max.message.bytes": "20000" })];
    const group = newGroup();
    const offsets = (offset: number): OffsetCommit[] => [{ topic: input, partition: 0, offset }];
    const commit = { group, producer: group, atomic: true };
    await log.commit({ ...commit, offsets: offsets(1), batches: [outBatch(output, 0, [["a", "1"]])] });
    await assert.rejects(
      log.commit({
        ...commit,
        offsets: offsets(2),
        batches: [
          outBatch(output, 0, [["b", "2"]]),
          outBatch(output, 0, [["too-large", "x".repeat(50_000)]]),
          outBatch(output, 0, [["c", "3"]]),
        ],
      }),
      (error: KeyfoldError) => {
        assert.equal(error.code, "limit-exceeded");
        assert.match(error.message, /max\.message\.bytes/);
        return true;
      },
    );
    assert.equal((await log.committed(group, [{ topic: input, partition: 0 }]))[0]?.offset, 1);
    await log.commit({ ...commit, offsets: offsets(3), batches: [outBatch(output, 0, [["d", "4"]])] });
    assert.deepEqual(
      (await readAll(log, output, 0)).map(({ key }) => key),
      ["a", "d"],
    );
    assert.equal((await log.committed(group, [{ topic: input, partition: 0 }]))[0]?.offset, 3);
  });

  test("a batch that is refused harms neither the others nor those after it", async (t) => {
    const log = await openLog(t, broker().brokers);
    const topic = await newTopic(log, 2, { "max.message.bytes": "20000" });
    const large = (): Promise<number[]> => log.append([outBatch(topic, 0, [["large", "x".repeat(50_000)]])]);
    const results = await Promise.allSettled([
      log.append([outBatch(topic, 0, [["a", "1"]])]),
      large(),
      log.append([outBatch(topic, 0, [["b", "2"]]), outBatch(topic, 1, [["c", "3"]])]),
      large(),
    ]);
    assert.deepEqual(
      results.map(({ status }) => status),
      ["fulfilled", "rejected", "fulfilled", "rejected"],
    );
    assert.deepEqual(
      [...(await readAll(log, topic, 0)), ...(await readAll(log, topic, 1))].map(({ key }) => key),
      ["a", "b", "c"],
    );
  });

  test("many tasks commit at the same time, each exactly once", async (t) => {
    const log = await openLog(t, broker().brokers);
    const [input, output] = [await newTopic(log, 6), await newTopic(log, 6)];
    const group = newGroup();
    await Promise.all(
      Array.from({ length: 6 }, async (_, partition) => {
        for (let n = 1; n <= 10; n++) {
          const batches = [outBatch(output, partition, [["n", `${n}`]]), outBatch(output, (partition + 1) % 6, [["from", `${partition}`]])];
          await log.commit({
            group,
            producer: `${group}-0_${partition}`,
            atomic: true,
            offsets: [{ topic: input, partition, offset: n }],
            batches,
          });
        }
      }),
    );
    for (let partition = 0; partition < 6; partition++) {
      const rows = await readAll(log, output, partition);
      assert.deepEqual(
        rows.filter(({ key }) => key === "n").map(({ value }) => value),
        Array.from({ length: 10 }, (_, n) => `${n + 1}`),
      );
      assert.equal(rows.filter(({ key, value }) => key === "from" && value === `${(partition + 5) % 6}`).length, 10);
    }
    const committed = await log.committed(
      group,
      Array.from({ length: 6 }, (_, partition) => ({ topic: input, partition })),
    );
    assert.deepEqual(
      committed.map((commit) => commit?.offset),
      new Array(6).fill(10),
    );
  });

  test("Kafka's console consumer reads our output in read_committed mode, and its tools show our lag", async (t) => {
    const log = await openLog(t, broker().brokers);
    const [input, output] = [await newTopic(log), await newTopic(log, 2)];
    const group = newGroup();
    await log.append([
      outBatch(
        input,
        0,
        Array.from({ length: 10 }, (_, i) => [`k${i}`, "v"] as const),
      ),
    ]);
    await log.commit({
      group,
      producer: group,
      atomic: true,
      offsets: [{ topic: input, partition: 0, offset: 7, metadata: "time" }],
      batches: [outBatch(output, 0, [["a", "1"]]), outBatch(output, 1, [["b", "2"]])],
    });
    await (await broker().java()).transaction("tx-other", output, "abort", ["0:never", "1:never"]);
    await log.commit({ group, producer: group, atomic: true, offsets: [], batches: [outBatch(output, 1, [["c", "3"]])] });
    const bootstrap = ["--bootstrap-server", broker().brokers.join(",")];
    const console = [
      "org.apache.kafka.tools.consumer.ConsoleConsumer",
      "--topic",
      output,
      "--from-beginning",
      "--isolation-level",
      "read_committed",
      "--formatter-property",
      "print.key=true",
      "--max-messages",
      "3",
      "--timeout-ms",
      "15000",
    ] as const;
    const [printed, described] = await Promise.all([
      broker().tool(console[0], [...bootstrap, ...console.slice(1)]),
      broker().tool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", [...bootstrap, "--describe", "--group", group]),
    ]);
    assert.deepEqual(printed.trim().split("\n").sort(), ["a\t1", "b\t2", "c\t3"]);
    const row = described.split("\n").find((line) => line.includes(input)) ?? "";
    assert.deepEqual(row.trim().split(/\s+/).slice(0, 6), [group, input, "0", "7", "10", "3"], "group, topic, partition, offset, end, lag");
  });

  test("settings of a topic: created with them, compared one by one, and an impossible one is named", async (t) => {
    const log = await openLog(t, broker().brokers);
    const topic = await newTopic(log, 3, { "cleanup.policy": "compact,delete", "retention.ms": "86400000", "segment.ms": "60000" });
    assert.deepEqual((await log.describe(topic))?.config, {
      "cleanup.policy": "compact,delete",
      "retention.ms": "86400000",
      "segment.ms": "60000",
    });
    await log.ensureTopic({ name: topic, partitions: 3, config: { "cleanup.policy": "delete, compact" } });
    await assert.rejects(
      log.ensureTopic({ name: topic, partitions: 3, config: { "retention.ms": "1000" } }),
      /retention\.ms 86400000, but 1000/,
    );
    // What the topic inherits from the broker counts too.
    await assert.rejects(
      log.ensureTopic({ name: topic, partitions: 3, config: { "delete.retention.ms": "5" } }),
      /delete\.retention\.ms 86400000, but 5/,
    );
    for (const config of [{ "no.such.setting": "1" }, { "retention.ms": "soon" }]) {
      await assert.rejects(log.ensureTopic({ name: `${topic}-2`, partitions: 1, config }), (error: KeyfoldError) => {
        assert.equal(error.code, "config-invalid", error.message);
        assert.match(error.message, new RegExp(Object.keys(config)[0] ?? ""));
        return true;
      });
    }
    const three = await openLog(t, broker().brokers, { replicationFactor: 3 });
    await assert.rejects(three.ensureTopic({ name: `${topic}-3`, partitions: 1 }), (error: KeyfoldError) => {
      assert.equal(error.code, "config-invalid");
      assert.match(error.message, /[Rr]eplication/);
      return true;
    });
  });
});
