import assert from "node:assert/strict";
import { test } from "node:test";
import { KeyfoldError } from "../../../runtime/errors.ts";
import type { Fault } from "../../fixtures/kafka/fault-proxy.ts";
import { describeKafka } from "../../fixtures/kafka-broker.ts";
import { outBatch, readAll } from "../helpers.ts";
import { type KafkaLog, newGroup, newTopic, openLog } from "./helpers.ts";

type Api = "EndTxn" | "Produce" | "TxnOffsetCommit" | "Fetch";

/** An error code for each request that its sender has to live with: not leader, not coordinator, still loading, timed out. */
const FAULTS: readonly [Api, Fault][] = (["EndTxn", "Produce", "TxnOffsetCommit", "Fetch"] as const).flatMap((api) => [
  ...(api === "Produce" || api === "Fetch" ? [6, 7] : [14, 16]).map((errorCode): [Api, Fault] => [api, { kind: "error", errorCode }]),
  [api, { kind: "delay", ms: 150 }] as [Api, Fault],
  [api, { kind: "lose-request" }] as [Api, Fault],
  [api, { kind: "lose-answer" }] as [Api, Fault],
  [api, { kind: "late", ms: 60 }] as [Api, Fault],
]);

/**
 * What a task does, in small: takes the input from the committed offset on, writes what it makes of it, commits; after a failure it
 * begins again at the commit.
 */
async function copy(
  log: KafkaLog,
  { input, output, group, atomic, records }: { input: string; output: string; group: string; atomic: boolean; records: number },
): Promise<number> {
  let failures = 0;
  for (;;) {
    try {
      const [commit] = await log.committed(group, [{ topic: input, partition: 0 }]);
      for (let position = commit?.offset ?? 0; position < records; ) {
        const rows = (await readAll(log, input, 0, position)).slice(0, 10);
        const last = rows.at(-1);
        if (last === undefined) continue;
        const batches = [0, 1].map((partition) =>
          outBatch(
            output,
            partition,
            rows.map(({ key, value }) => [key, value] as const),
            200,
          ),
        );
        await log.commit({
          group,
          producer: `${group}-0_0`,
          atomic,
          offsets: [{ topic: input, partition: 0, offset: last.offset + 1 }],
          batches,
        });
        position = last.offset + 1;
      }
      return failures;
    } catch (thrown) {
      if (!(thrown instanceof KeyfoldError) || thrown.remedy !== "retry" || ++failures > 10) throw thrown;
    }
  }
}

describeKafka("kafka: faults on the wire", { listener: "proxied" }, (broker) => {
  for (const [api, fault] of FAULTS) {
    const name = fault.kind === "error" ? `error ${fault.errorCode}` : fault.kind;
    test(`${name} at ${api}: nothing is lost, nothing doubled`, async (t) => {
      const { proxy } = broker();
      const log = await openLog(t, proxy.brokers);
      const [input, output] = [await newTopic(log), await newTopic(log, 2)];
      const pairs = Array.from({ length: 40 }, (_, i) => [`k${i % 7}`, `${i}`] as const);
      await log.append([outBatch(input, 0, pairs)]);
      proxy.inject(api, fault, 2);
      await copy(log, { input, output, group: newGroup(), atomic: true, records: pairs.length });
      assert.deepEqual(proxy.fired, [`${api}:${fault.kind}`, `${api}:${fault.kind}`], "the faults have happened");
      proxy.reset();
      for (const partition of [0, 1])
        assert.deepEqual(
          (await readAll(log, output, partition)).map(({ value }) => value),
          pairs.map(([, value]) => value),
        );
    });
  }

  for (const [late, delayed] of [
    ["EndTxn", "TxnOffsetCommit"],
    ["TxnOffsetCommit", "EndTxn"],
  ] as const)
    test(`${late} that arrives when its sender has long gone on: the next transaction is not touched`, async (t) => {
      const { proxy } = broker();
      const log = await openLog(t, proxy.brokers);
      const [input, output] = [await newTopic(log), await newTopic(log)];
      const group = newGroup();
      const commit = (n: number): Promise<number[]> =>
        log.commit({
          group,
          producer: `${group}-0_0`,
          atomic: true,
          offsets: [{ topic: input, partition: 0, offset: n }],
          batches: [outBatch(output, 0, [["k", `${n}`]])],
        });
      await commit(1);
      proxy.inject(late, { kind: "late", ms: 400 });
      await commit(2);
      proxy.inject(delayed, { kind: "delay", ms: 1_000 });
      await commit(3);
      assert.deepEqual(proxy.fired, [`${late}:late`, `${delayed}:delay`]);
      proxy.reset();
      assert.equal((await log.committed(group, [{ topic: input, partition: 0 }]))[0]?.offset, 3);
      assert.deepEqual(
        (await readAll(log, output, 0)).map(({ value }) => value),
        ["1", "2", "3"],
      );
    });

  for (const errorCode of [45, 48, 59, 120])
    test(`error ${errorCode} of a write in a transaction: aborted, and done again under a new epoch`, async (t) => {
      const { proxy } = broker();
      const log = await openLog(t, proxy.brokers);
      const [input, output] = [await newTopic(log), await newTopic(log, 2)];
      const pairs = Array.from({ length: 40 }, (_, i) => [`k${i % 7}`, `${i}`] as const);
      await log.append([outBatch(input, 0, pairs)]);
      proxy.inject("Produce", { kind: "error", errorCode });
      await copy(log, { input, output, group: newGroup(), atomic: true, records: pairs.length });
      assert.deepEqual(proxy.fired, ["Produce:error"]);
      proxy.reset();
      for (const partition of [0, 1])
        assert.deepEqual(
          (await readAll(log, output, partition)).map(({ value }) => value),
          pairs.map(([, value]) => value),
        );
    });

  test("outside transactions offsets are committed when what was written is acknowledged, not before", async (t) => {
    const { proxy } = broker();
    const log = await openLog(t, proxy.brokers);
    const [input, output] = [await newTopic(log), await newTopic(log)];
    const group = newGroup();
    const commit = (offset: number): Promise<number[]> =>
      log.commit({
        group,
        producer: group,
        atomic: false,
        offsets: [{ topic: input, partition: 0, offset }],
        batches: [outBatch(output, 0, [["k", `${offset}`]])],
      });
    const committed = async (): Promise<number | undefined> => (await log.committed(group, [{ topic: input, partition: 0 }]))[0]?.offset;
    await commit(1);
    proxy.inject("Produce", { kind: "error", errorCode: 29 });
    await assert.rejects(commit(2), { code: "unauthorized" });
    assert.equal(await committed(), 1);
    proxy.inject("Produce", { kind: "delay", ms: 500 });
    const late = commit(3);
    assert.equal(await committed(), 1);
    await late;
    assert.equal(await committed(), 3);
    proxy.reset();
  });

  test("appends outside transactions: a lost answer doubles nothing, order stays", async (t) => {
    const { proxy } = broker();
    const log = await openLog(t, proxy.brokers);
    const topic = await newTopic(log);
    for (const kind of ["lose-answer", "lose-request", "lose-answer"] as const) proxy.inject("Produce", { kind });
    await Promise.all(Array.from({ length: 30 }, (_, i) => log.append([outBatch(topic, 0, [["k", `${i}`]])])));
    assert.equal(proxy.fired.length, 3);
    proxy.reset();
    assert.deepEqual(
      (await readAll(log, topic, 0)).map(({ value }) => value),
      Array.from({ length: 30 }, (_, i) => `${i}`),
    );
  });

  test("a broker killed and started again in the middle of everything", async (t) => {
    const log = await openLog(t, broker().brokers, { unavailableAfterMs: 60_000 });
    const [input, output, other] = [await newTopic(log), await newTopic(log, 2), await newTopic(log)];
    const pairs = Array.from({ length: 400 }, (_, i) => [`k${i % 7}`, `${i}`] as const);
    await log.append([outBatch(input, 0, pairs)]);
    const waiting = log.fetch({ topic: other, partition: 0, position: 0, maxBytes: 1000, maxWaitMs: 60_000 });
    const copied = copy(log, { input, output, group: newGroup(), atomic: true, records: pairs.length });
    const appended = (async () => {
      // Of today: a broker that starts forgets producers whose last record is older than `producer.id.expiration.ms`, and takes a repetition.
      for (let i = 0; i < 60; i++) await log.append([outBatch(other, 0, [["k", `${i}`]], undefined, Date.now())]);
    })();
    await waiting;
    await broker().kill();
    await broker().start();
    await Promise.all([copied, appended]);
    for (const partition of [0, 1])
      assert.deepEqual(
        (await readAll(log, output, partition)).map(({ value }) => value),
        pairs.map(([, value]) => value),
      );
    assert.deepEqual(
      (await readAll(log, other, 0)).map(({ value }) => value),
      Array.from({ length: 60 }, (_, i) => `${i}`),
    );
  });

  test("a broker that stays away is said to be away, in plain words, and closing does not wait for it", async (t) => {
    const log = await openLog(t, broker().brokers, { unavailableAfterMs: 1500 });
    const topic = await newTopic(log);
    await broker().kill();
    const away = (thrown: unknown): boolean => {
      assert.ok(thrown instanceof KeyfoldError);
      assert.deepEqual([thrown.code, thrown.remedy], ["log-unavailable", "retry"], thrown.stack);
      assert.match(thrown.message, /127\.0\.0\.1/);
      return true;
    };
    await Promise.all([
      assert.rejects(log.fetch({ topic, partition: 0, position: 0, maxBytes: 1000, maxWaitMs: 0 }), away),
      assert.rejects(log.append([outBatch(topic, 0, [["k", "v"]])]), away),
      assert.rejects(log.offsets([{ topic, partition: 0 }]), away),
    ]);
    const forever = log.commit({ group: "g", producer: "p", atomic: true, batches: [outBatch(topic, 0, [["k", "v"]])], offsets: [] });
    const ended = assert.rejects(
      forever,
      (thrown) => thrown instanceof KeyfoldError && (thrown.code === "log-closed" || thrown.code === "log-unavailable"),
    );
    await log.close();
    await ended;
    await broker().start();
  });
});
