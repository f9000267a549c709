import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { after, before, test } from "node:test";
import { pino } from "pino";
import type { ConfigLayer } from "../../runtime/config/types.ts";
import { openKafkaLog } from "../../runtime/log/kafka/log.ts";
import type { Logger } from "../../runtime/observe/logger.ts";
import { audit, caughtUp, chain, type Event, events, feed, fold, run, states } from "../fixtures/chain.ts";
import { createProject, type Project, type RunningEngine, startEngine } from "../fixtures/engine.ts";
import { describeKafka } from "../fixtures/kafka-broker.ts";
import { until } from "../fixtures/until.ts";
import { outBatch } from "../log/helpers.ts";

/** Spins on one event, the first time it sees it: the second thread, which leaves it out, must not either. */
const SPINS = `
import { defineFunction } from "keyfold";
export default defineFunction<{ n: number }, number>({
  source: "spins-events-${run}",
  reduce(sum = 0, event) {
    if (event.n === 666) for (;;);
    return sum + event.n;
  },
});
`;

describeKafka("the host on Kafka: what goes wrong", { listener: "proxied" }, (broker) => {
  let project: Project;
  const start = async (
    fn: string,
    host = "a",
    more: ConfigLayer = {},
    changed?: (state: string) => void,
    logger?: Logger,
  ): Promise<RunningEngine> => {
    const config = await project.config({
      log: { kind: "kafka", brokers: broker().brokers },
      "session.timeout.ms": 1_500,
      "num.stream.threads": 2,
      defaultPartitions: 4,
      "processing.guarantee": "exactly_once_v2",
      "commit.interval.ms": 20,
      "state.dir": `${project.dir}/state-${fn}-${host}`,
      ...more,
    });
    return startEngine(config, { onStateChange: (_fn, next) => changed?.(next), ...(logger === undefined ? {} : { logger }) }, [fn]);
  };
  const judge = async (host: RunningEngine, fn: string, all: readonly Event[]): Promise<void> => {
    const end = events(all.length, 100);
    await caughtUp(host, fn, await feed(host, fn, end));
    const whole = [...all, ...end];
    assert.deepEqual(await states(host, fn), fold(whole));
    await host.stop();
    await rm(`${project.dir}/state-${fn}-a`, { recursive: true, force: true });
    const again = await start(fn);
    try {
      assert.deepEqual(await states(again, fn), fold(whole), "restored from the changelog");
      assert.deepEqual(await audit(again, fn), whole.map(({ key, n }) => `${key} ${n}`).sort());
    } finally {
      await again.stop();
    }
  };
  before(async () => {
    project = await createProject(
      Object.fromEntries([
        ...["stolen", "lost", "died", "bounced", "hanging"].map((name) => [name, chain(name)] as const),
        ["spins", SPINS],
      ]),
      `app-${run}`,
    );
  });
  after(() => project?.remove());

  test("a task whose producer is fenced while it is still ours takes it back and goes on", async () => {
    const host = await start("stolen");
    const thief = await openKafkaLog({ brokers: broker().brokers });
    try {
      const all: Event[] = [];
      for (let round = 0; round < 4; round++) {
        const chunk = events(all.length, 400);
        all.push(...chunk);
        const fed = feed(host, "stolen", chunk);
        await Promise.all([0, 1, 2, 3].map((p) => thief.openProducer(`app-${run}-stolen-0_${p}`)));
        await caughtUp(host, "stolen", await fed);
      }
      await judge(host, "stolen", all);
    } finally {
      await thief.close();
      await host.stop();
    }
  });

  test("a host that cannot reach the brokers for longer than its session loses its tasks, and gets them back", async () => {
    const seen: string[] = [];
    const host = await start("lost", "a", { log: { kind: "kafka", brokers: broker().proxy.brokers } }, (state) => seen.push(state));
    try {
      const all = events(0, 800);
      await caughtUp(host, "lost", await feed(host, "lost", all));
      const more = events(800, 800);
      const fed = feed(host, "lost", more);
      broker().proxy.block();
      await until("the tasks are lost", () => seen.at(-1) === "REBALANCING");
      broker().proxy.unblock();
      await fed;
      await host.engine.running();
      await judge(host, "lost", [...all, ...more]);
    } finally {
      broker().proxy.unblock();
      await host.stop();
    }
  });

  test("a host that dies: the other one takes over what it had", async () => {
    const a = await start("died");
    const b = await start("died", "b");
    try {
      await until("they share the tasks", async () =>
        (await Promise.all([a, b].map(({ api }) => api.tasks()))).every(
          (tasks) => tasks.length === 2 && tasks.every(({ state }) => state === "RUNNING"),
        ),
      );
      const all = events(0, 2_000);
      await feed(b, "died", all);
      await a.crash();
      await until("it has them all", async () => (await b.api.tasks()).filter(({ state }) => state === "RUNNING").length === 4);
      await judge(b, "died", all);
    } finally {
      await b.stop();
    }
  });

  test("a reducer that spins: its worker is replaced and takes its tasks up where they were", async () => {
    const host = await start("spins", "a", { limits: { "reducer.timeout.ms": 500 } });
    try {
      const topic = `spins-events-${run}`;
      const of = (n: number) => ({ key: "k", value: Buffer.from(JSON.stringify({ n })) });
      const spinning = host.api.invoke("spins", "k", of(666).value, "committed");
      await assert.rejects(spinning, { code: "reducer-timeout" });
      await host.api.append(topic, [1, 2, 3].map(of));
      assert.equal((JSON.parse(await host.api.invoke("spins", "k", of(4).value, "committed")) as { value: number }).value, 10);
    } finally {
      await host.stop();
    }
  });

  test("the broker is killed and comes back: the host goes on by itself", async () => {
    const host = await start("bounced", "a", { "session.timeout.ms": 20_000 });
    try {
      const all = events(0, 800);
      await feed(host, "bounced", all);
      await broker().kill();
      const more = events(800, 800);
      const fed = feed(host, "bounced", more);
      await broker().start();
      await fed;
      await judge(host, "bounced", [...all, ...more]);
    } finally {
      await host.stop();
    }
  });

  test("a changelog with a transaction that has not ended: its task waits rather than restore what is old", async () => {
    const all = events(0, 400);
    const first = await start("hanging");
    await caughtUp(first, "hanging", await feed(first, "hanging", all));
    await first.stop();
    await rm(`${project.dir}/state-hanging-a`, { recursive: true, force: true });
    const other = await openKafkaLog({ brokers: broker().proxy.brokers });
    const said: { msg: string; error?: string }[] = [];
    const logger = pino({ level: "warn" }, { write: (line: string) => void said.push(JSON.parse(line)) });
    try {
      broker().proxy.inject("EndTxn", { kind: "delay", ms: 4_000 });
      let ended = false;
      const batches = [outBatch(`app-${run}-hanging-state-changelog`, 2, [["no such key", null]])];
      const open = other.commit({ group: "g", producer: `other-${run}`, atomic: true, offsets: [], batches }).then(() => (ended = true));
      await until("it is written", () => broker().proxy.fired.length > 0);
      const again = await start("hanging", "a", {}, undefined, logger);
      try {
        assert.ok(ended, "no task ran before the transaction had ended");
        assert.ok(said.some(({ error = "" }) => /state-changelog-2 holds a transaction that has not ended, from offset \d+/.test(error)));
        await open;
        await judge(again, "hanging", all);
      } finally {
        await again.stop();
      }
    } finally {
      broker().proxy.reset();
      await other.close();
    }
  });
});
