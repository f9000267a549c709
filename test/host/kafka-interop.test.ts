import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { ConfigLayer } from "../../runtime/config/types.ts";
import { Fetch } from "../../runtime/log/kafka/api/fetch.ts";
import { openKafkaLog } from "../../runtime/log/kafka/log.ts";
import { caughtUp, chain, events, feed, run } from "../fixtures/chain.ts";
import { createProject, type Project, type RunningEngine, startEngine } from "../fixtures/engine.ts";
import { describeKafka } from "../fixtures/kafka-broker.ts";
import { outBatch } from "../log/helpers.ts";

const COMPRESSIONS = ["gzip", "snappy", "lz4", "zstd"] as const;

describeKafka("a host beside Kafka's own tools", { java: true }, (broker) => {
  let project: Project;
  const start = async (fn: string, more: ConfigLayer = {}): Promise<RunningEngine> => {
    const config = await project.config({
      log: { kind: "kafka", brokers: broker().brokers },
      "num.stream.threads": 2,
      "processing.guarantee": "exactly_once_v2",
      "commit.interval.ms": 20,
      "state.dir": `${project.dir}/state-${fn}`,
      ...more,
    });
    return startEngine(config, {}, [fn]);
  };
  const bootstrap = (): string[] => ["--bootstrap-server", broker().brokers.join(",")];
  /** What the console consumer prints of a topic, until nothing more comes. */
  const consumed = async (topic: string, isolation: string): Promise<string[]> => {
    const printed = await broker().tool("org.apache.kafka.tools.consumer.ConsoleConsumer", [
      ...bootstrap(),
      "--topic",
      topic,
      "--from-beginning",
      "--isolation-level",
      isolation,
      "--formatter-property",
      "print.key=true",
      "--timeout-ms",
      "3000",
    ]);
    return printed.split("\n").filter((line) => line !== "");
  };
  before(async () => {
    project = await createProject(
      Object.fromEntries(["read", "late", ...COMPRESSIONS].map((name) => [name, chain(name)] as const)),
      `app-${run}`,
    );
  });
  after(() => project?.remove());

  test("the console consumer reads of an exactly-once function what was committed, all of it and no more", async () => {
    const host = await start("read");
    const thief = await openKafkaLog({ brokers: broker().brokers });
    try {
      const all = events(0, 2_000);
      for (let i = 0; i < 10; i++) {
        const fed = feed(host, "read", all.slice(200 * i, 200 * (i + 1)));
        // Whoever has the task in a transaction now has to abort it, and does it again.
        await Promise.all([0, 1, 2, 3].map((p) => thief.openProducer(`app-${run}-read-0_${p}`)));
        await caughtUp(host, "read", await fed);
      }
      await host.stop();
      const audit = `read-audit-${run}`;
      await (await broker().java()).transaction(`tx-${run}`, audit, "abort", ["0:never", "1:never"]);
      const expected = all.map(({ key, n }) => `${key}\t{"n":${n}}`).sort();
      const [committed, everything] = await Promise.all([consumed(audit, "read_committed"), consumed(audit, "read_uncommitted")]);
      assert.deepEqual(committed.sort(), expected);
      assert.ok(everything.length >= committed.length + 2, `aborted records are in the topic: ${everything.length} of ${committed.length}`);
    } finally {
      await thief.close();
      await host.stop();
    }
  });

  test("the consumer-groups tool shows what a host has still to do", async () => {
    const host = await start("late");
    await caughtUp(host, "late", await feed(host, "late", events(0, 100)));
    await host.stop();
    const log = await openKafkaLog({ brokers: broker().brokers });
    const topic = `late-events-${run}`;
    try {
      await log.append(
        [0, 1, 2, 3].map((p) =>
          outBatch(
            topic,
            p,
            Array.from({ length: p + 1 }, () => ["k", `{"n":1}`] as const),
          ),
        ),
      );
    } finally {
      await log.close();
    }
    const group = `app-${run}-late`;
    const lags = async (): Promise<string[]> =>
      (await broker().tool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", [...bootstrap(), "--describe", "--group", group]))
        .split("\n")
        .filter((line) => line.includes(topic))
        .map((line) => line.trim().split(/\s+/))
        .map(([, , partition, , , lag]) => `${partition}: ${lag}`)
        .sort();
    assert.deepEqual(await lags(), ["0: 1", "1: 2", "2: 3", "3: 4"]);
    const again = await start("late");
    try {
      await caughtUp(again, "late", await feed(again, "late", events(0, 100)));
    } finally {
      await again.stop();
    }
    assert.deepEqual(await lags(), ["0: 0", "1: 0", "2: 0", "3: 0"]);
  });

  for (const [i, compression] of COMPRESSIONS.entries())
    test(`${compression} by config: what a host writes is packed, and Java reads it`, async () => {
      const host = await start(compression, { log: { kind: "kafka", brokers: broker().brokers, compression } });
      const all = events(0, 1_000);
      try {
        await caughtUp(host, compression, await feed(host, compression, all));
      } finally {
        await host.stop();
      }
      const log = await openKafkaLog({ brokers: broker().brokers });
      try {
        const used = new Set<number>();
        for (const topic of [`${compression}-events-${run}`, `${compression}-audit-${run}`]) {
          const leader = await log.cluster.leader(topic, 0);
          const partitions = [{ topic, partition: 0, position: 0, maxBytes: 1 << 20 }];
          const answer = await log.cluster.call(leader, "control", Fetch, { maxWaitMs: 0, maxBytes: 1 << 20, partitions });
          // The attributes of the first batch.
          used.add((answer.partitions[0]?.records?.readInt16BE(21) ?? 0) & 7);
        }
        assert.deepEqual(used, new Set([i + 1]));
      } finally {
        await log.close();
      }
      const java = (await (await broker().java()).read(`${compression}-audit-${run}`)).map((record) => record.replace(/^\d+:/, ""));
      assert.deepEqual(java.sort(), all.map(({ key, n }) => `${key}={"n":${n}}`).sort());
    });
});
