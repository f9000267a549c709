import assert from "node:assert/strict";
import { test } from "node:test";
import { KeyfoldError } from "../../../runtime/errors.ts";
import { describeKafka } from "../../fixtures/kafka-broker.ts";
import { outBatch, readAll } from "../helpers.ts";
import { newGroup, newTopic, openLog } from "./helpers.ts";

const PARTITIONS = 6;
const ROUNDS = 60;

describeKafka("kafka: leaders and coordinators move", { nodes: 2 }, (broker) => {
  test("a broker dies and comes back while tasks commit: leaders change, nothing is lost, nothing doubled", async (t) => {
    const log = await openLog(t, broker().brokers, { replicationFactor: 2, unavailableAfterMs: 60_000, transactionTimeoutMs: 30_000 });
    const [input, output] = [await newTopic(log, PARTITIONS), await newTopic(log, PARTITIONS)];
    const group = newGroup();
    let rounds = 0;
    const reached = (count: number): Promise<void> =>
      new Promise((resolve) => {
        const timer = setInterval(() => {
          if (rounds < count) return;
          clearInterval(timer);
          resolve();
        }, 5);
      });
    // As a task does it: from the committed offset on, and after a failure back to it.
    const task = async (partition: number): Promise<void> => {
      const open = (): Promise<void> => log.openProducer(`${group}-0_${partition}`);
      await open();
      for (;;) {
        const [commit] = await log.committed(group, [{ topic: input, partition }]);
        for (let n = commit?.offset ?? 0; ; n++, rounds++) {
          if (n === ROUNDS) return;
          try {
            const batches = [partition, (partition + 1) % PARTITIONS].map((to) => outBatch(output, to, [[`${partition}`, `${n}`]]));
            await log.commit({
              group,
              producer: `${group}-0_${partition}`,
              atomic: true,
              offsets: [{ topic: input, partition, offset: n + 1 }],
              batches,
            });
          } catch (thrown) {
            if (!(thrown instanceof KeyfoldError) || (thrown.remedy !== "retry" && thrown.code !== "fenced")) throw thrown;
            if (thrown.code === "fenced") await open();
            break;
          }
        }
      }
    };
    const tasks = Promise.all(Array.from({ length: PARTITIONS }, (_, partition) => task(partition)));
    await reached(ROUNDS);
    await broker().kill(2);
    await reached(3 * ROUNDS);
    await broker().start(2);
    await tasks;
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const rows = await readAll(log, output, partition);
      for (const from of [partition, (partition + PARTITIONS - 1) % PARTITIONS]) {
        assert.deepEqual(
          rows.filter(({ key }) => key === `${from}`).map(({ value }) => value),
          Array.from({ length: ROUNDS }, (_, n) => `${n}`),
        );
      }
    }
  });
});
