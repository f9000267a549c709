import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { after, before, test } from "node:test";
import { KeyfoldError } from "../../runtime/errors.ts";
import type { FunctionState } from "../../runtime/host/functions.ts";
import { startHost } from "../../runtime/host/host.ts";
import { Client } from "../../runtime/http/client.ts";
import { openKafkaLog } from "../../runtime/log/kafka/log.ts";
import { createLogger } from "../../runtime/observe/logger.ts";
import type { RestoreEvent } from "../../runtime/worker/messages.ts";
import { caughtUp, chain, events, feed, fold, run } from "../fixtures/chain.ts";
import { createProject, type Project, startEngine } from "../fixtures/engine.ts";
import { describeKafka } from "../fixtures/kafka-broker.ts";

/** One store with settings of its own, and one of windows. */
const SETTINGS = `
import { defineFunction, rocksdb } from "keyfold";
export default defineFunction({
  source: "settings-events-${run}",
  store: rocksdb({ changelog: { "segment.ms": "3600000", "min.cleanable.dirty.ratio": "0.2" } }),
  reduce: (n = 0) => n + 1,
});
`;
const WINDOWS = `
import { defineFunction, tumbling } from "keyfold";
export default defineFunction({
  source: "windows-events-${run}",
  window: tumbling("1 hour", { grace: "5 minutes", retention: "3 hours" }),
  reduce: (n = 0) => n + 1,
});
`;
const HOUR = 3_600_000;

describeKafka("topics, tail and listeners of a host on Kafka", {}, (broker) => {
  let project: Project;
  const config = (fn: string, of = project) =>
    of.config({
      log: { kind: "kafka", brokers: broker().brokers },
      "num.stream.threads": 2,
      "commit.interval.ms": 20,
      defaultPartitions: 3,
      topics: { [`settings-events-${run}`]: { partitions: 5, "retention.ms": -1 } },
      "state.dir": `${of.dir}/state-${fn}`,
      http: { port: 0, internalPort: 0 },
    });
  before(async () => {
    project = await createProject({ settings: SETTINGS, windows: WINDOWS, heard: chain("heard") }, `app-${run}`);
  });
  after(() => project?.remove());

  test("sources and changelogs are made with their partitions and settings", async () => {
    for (const fn of ["settings", "windows"]) await (await startEngine(await config(fn), {}, [fn])).stop();
    const log = await openKafkaLog({ brokers: broker().brokers });
    try {
      assert.deepEqual(await log.describe(`settings-events-${run}`), {
        name: `settings-events-${run}`,
        partitions: 5,
        config: { "retention.ms": "-1" },
      });
      assert.deepEqual(await log.describe(`app-${run}-settings-state-changelog`), {
        name: `app-${run}-settings-state-changelog`,
        partitions: 5,
        config: { "cleanup.policy": "compact", "segment.ms": "3600000", "min.cleanable.dirty.ratio": "0.2" },
      });
      const windows = await log.describe(`app-${run}-windows-state-changelog`);
      assert.equal(windows?.partitions, 3);
      assert.deepEqual(windows?.config, {
        "cleanup.policy": "compact,delete",
        "retention.ms": `${3 * HOUR + 24 * HOUR}`,
        "message.timestamp.type": "LogAppendTime",
      });
    } finally {
      await log.close();
    }
  });

  test("a changelog that is there and disagrees stops the host, with both values named", async () => {
    const changelog = `app-${run}-heard-state-changelog`;
    const log = await openKafkaLog({ brokers: broker().brokers });
    try {
      for (const [partitions, policy, message] of [
        [7, "compact", /exists with partitions 7, but 3 is asked for/],
        [3, "delete", /exists with cleanup\.policy delete, but compact is asked for/],
      ] as const) {
        await log.ensureTopic({ name: changelog, partitions, config: { "cleanup.policy": policy } });
        await assert.rejects(startEngine(await config("heard"), {}, ["heard"]), (thrown) => {
          assert.ok(thrown instanceof KeyfoldError);
          assert.deepEqual([thrown.code, thrown.remedy], ["topic-mismatch", "user"]);
          assert.match(thrown.message, message);
          return true;
        });
        await log.deleteTopic(changelog);
      }
    } finally {
      await log.close();
    }
  });

  test("state and restore listeners hear of everything; tail shows a topic's records and a changelog's", async () => {
    const restored: RestoreEvent[] = [];
    const states: FunctionState[] = [];
    const own = await createProject({ heard: chain("heard") }, `app-${run}`);
    const start = async () => {
      const host = await startHost(await config("heard", own), {
        logger: createLogger({ level: "silent" }),
        onRestore: (event) => restored.push(event),
        onStateChange: (_fn, next) => states.push(next),
      });
      await host.running;
      return host;
    };
    const all = events(0, 300);
    let host = await start();
    try {
      await caughtUp(host, "heard", await feed(host, "heard", all));
      await host.stop();
      assert.deepEqual(states, ["REBALANCING", "RUNNING", "PENDING_SHUTDOWN", "NOT_RUNNING"]);
      assert.equal(restored.filter(({ kind }) => kind === "batch").length, 0, "nothing was there to restore");
      await rm(`${own.dir}/state-heard`, { recursive: true, force: true });
      restored.length = 0;
      host = await start();
      const kinds = (kind: RestoreEvent["kind"]) => restored.filter((event) => event.kind === kind);
      assert.deepEqual([kinds("start").length, kinds("end").length], [3, 3], "each task's store");
      const total = restored.reduce((sum, event) => sum + (event.kind === "end" ? event.totalRestored : 0), 0);
      assert.ok(total >= fold(all).size, `${total} records restored`);
      assert.ok(restored.every(({ topic }) => topic === `app-${run}-heard-state-changelog`));

      const client = new Client({ url: host.publicUrl, internalUrl: host.internalUrl });
      const seen = new Map<string, number>();
      let count = 0;
      for await (const { key, value } of client.tail(`heard-events-${run}`, { from: "earliest", limit: all.length })) {
        const { n } = value as { n: number };
        assert.ok(n > (seen.get(key ?? "") ?? -1), "in the order of the key");
        seen.set(key ?? "", n);
        count++;
      }
      assert.equal(count, all.length);
      const last = new Map<string, unknown>();
      for await (const { key, value } of client.tail(`app-${run}-heard-state-changelog`, { from: "earliest" })) last.set(key ?? "", value);
      assert.deepEqual(last, fold(all));
    } finally {
      await host.stop();
      await own.remove();
    }
  });
});
