import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { after, before, test } from "node:test";
import { pino } from "pino";
import type { ConfigLayer } from "../../runtime/config/types.ts";
import type { Position } from "../../runtime/host/api.ts";
import { type RunningHost, startHost } from "../../runtime/host/host.ts";
import { audit, type Chain, caughtUp, chain, type Event, events, feed, fold, KEYS, run, states } from "../fixtures/chain.ts";
import { createProject, type Project, type RunningEngine, readTopic, startEngine } from "../fixtures/engine.ts";
import { describeKafka } from "../fixtures/kafka-broker.ts";
import { until } from "../fixtures/until.ts";

/** Two subtopologies, with a repartition topic between them. */
const REKEYED = `
import { defineFunction, stream } from "keyfold";
export default defineFunction({
  source: stream<{ n: number }>("rekeyed-events-${run}").keyBy((event) => "m" + (event.n % 5)),
  reduce: (count = 0) => count + 1,
});
`;

describeKafka("the host on Kafka", { java: true }, (broker) => {
  let project: Project;
  const layer = (more: ConfigLayer = {}): ConfigLayer => ({
    log: { kind: "kafka", brokers: broker().brokers },
    "session.timeout.ms": 1_500,
    "num.stream.threads": 2,
    defaultPartitions: 4,
    "processing.guarantee": "exactly_once_v2",
    "commit.interval.ms": 50,
    ...more,
  });
  /** A host of one function, with a state directory of its own. */
  const start = async (fn: string, host = "a", more: ConfigLayer = {}): Promise<RunningEngine> => {
    const config = await project.config(layer({ "state.dir": `${project.dir}/state-${fn}-${host}`, ...more }));
    return startEngine(config, {}, [fn]);
  };
  before(async () => {
    project = await createProject(
      {
        plain: chain("plain"),
        letters: chain("letters"),
        asked: chain("asked"),
        crashed: chain("crashed"),
        shared: chain("shared"),
        shared2: chain("shared2"),
        rekeyed: REKEYED,
      },
      `app-${run}`,
    );
  });
  after(() => project?.remove());

  test("events, states, sink; again after a restart, and with the state gone; Kafka's own tools see it all", async () => {
    let host = await start("plain");
    try {
      const all = events(0, 1_000);
      await caughtUp(host, "plain", await feed(host, "plain", all));
      assert.deepEqual(await states(host, "plain"), fold(all));
      assert.equal(await host.api.count("plain", { limit: 1 }), KEYS.length);
      await host.stop();

      host = await start("plain");
      assert.deepEqual(await states(host, "plain"), fold(all), "restarted over its stores");
      const more = events(1_000, 100);
      await caughtUp(host, "plain", await feed(host, "plain", more));
      await host.stop();

      await rm(`${project.dir}/state-plain-a`, { recursive: true, force: true });
      host = await start("plain");
      const expected = fold([...all, ...more]);
      assert.deepEqual(await states(host, "plain"), expected, "restored from the changelog");

      const java = await (await broker().java()).read(`plain-chains-${run}`);
      const last = new Map(
        java
          .map((record) => /^\d+:([^=]+)=(.*)$/.exec(record)?.slice(1) as [string, string])
          .map(([key, value]) => [key, JSON.parse(value) as Chain]),
      );
      assert.deepEqual(last, expected, "as a Java consumer reads the sink");
      const described = await broker().tool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", [
        "--bootstrap-server",
        broker().brokers.join(","),
        "--describe",
        "--group",
        `app-${run}-plain`,
      ]);
      const rows = described
        .split("\n")
        .filter((line) => line.includes(`plain-events-${run}`))
        .map((line) => line.trim().split(/\s+/));
      // GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG
      assert.deepEqual(
        rows.map((row) => row[5]),
        ["0", "0", "0", "0"],
        described,
      );
    } finally {
      await host.stop();
    }
  });

  test("a record that fails is dead-lettered, and the others go on", async () => {
    const host = await start("letters");
    try {
      const topic = `letters-events-${run}`;
      await host.api.append(topic, [
        { key: "key-1", value: Buffer.from(`{"n":1}`) },
        { key: "key-1", value: Buffer.from(`{"n":2,"boom":true}`) },
      ]);
      const [last] = await host.api.append(topic, [{ key: "key-1", value: Buffer.from(`{"n":3}`) }]);
      await caughtUp(host, "letters", new Map([["key-1", last as Position]]));
      assert.deepEqual(
        (await states(host, "letters")).get("key-1"),
        fold([
          { key: "key-1", n: 1 },
          { key: "key-1", n: 3 },
        ]).get("key-1"),
      );
      const dead = await until("the dead letter", async () => {
        const records = await readTopic(host.log, `app-${run}-letters-dead-letters`);
        return records.length > 0 && records;
      });
      assert.deepEqual(
        dead.map(({ key, value }) => ({ key, value })),
        [{ key: "key-1", value: { n: 2, boom: true } }],
      );
    } finally {
      await host.stop();
    }
  });

  test("invoke: every event gets the state right after it, one after another and many at once", async () => {
    const host = await start("asked", "a", { "commit.interval.ms": 60_000 });
    try {
      const invoke = async (key: string, n: number, wait: "processed" | "committed"): Promise<Chain> =>
        (JSON.parse(await host.api.invoke("asked", key, Buffer.from(JSON.stringify({ n })), wait)) as { value: Chain }).value;
      for (let n = 0; n < 20; n++) assert.equal((await invoke("key-0", n, n % 2 === 0 ? "committed" : "processed")).count, n + 1);
      const answers = await Promise.all(Array.from({ length: 200 }, (_, n) => invoke(`key-${1 + (n % 10)}`, n, "committed")));
      for (let k = 0; k < 10; k++) {
        const mine = answers.filter((_, n) => n % 10 === k).map(({ count }) => count);
        assert.deepEqual(
          mine,
          Array.from({ length: 20 }, (_, i) => i + 1),
        );
      }
    } finally {
      await host.stop();
    }
  });

  test("a key change: records go through a repartition topic", async () => {
    const host = await start("rekeyed");
    try {
      await feed(host, "rekeyed", events(0, 500));
      for (let m = 0; m < 5; m++) {
        await until(`m${m} counted`, async () => {
          const text = await host.api.get("rekeyed", `m${m}`, {});
          return text !== undefined && (JSON.parse(text) as { value: number }).value === 100;
        });
      }
    } finally {
      await host.stop();
    }
  });

  test("exactly once over crashes, with and without the state on disk", async () => {
    const all: Event[] = [];
    let host = await start("crashed");
    try {
      for (const [round, wipe] of [false, true, false].entries()) {
        const chunk = events(round * 700, 700);
        await feed(host, "crashed", chunk);
        all.push(...chunk);
        await host.crash();
        if (wipe) await rm(`${project.dir}/state-crashed-a`, { recursive: true, force: true });
        host = await start("crashed");
      }
      const chunk = events(5_000, 50);
      all.push(...chunk);
      await caughtUp(host, "crashed", await feed(host, "crashed", chunk));
      const expected = fold(all);
      assert.deepEqual(await states(host, "crashed"), expected);
      await host.stop();
      host = await start("crashed");
      const sink = new Map((await readTopic(host.log, `crashed-chains-${run}`)).map(({ key, value }) => [key, value]));
      assert.deepEqual(sink, expected);
      assert.deepEqual(await audit(host, "crashed"), all.map(({ key, n }) => `${key} ${n}`).sort());
    } finally {
      await host.stop();
    }
  });

  for (const [fn, guarantee] of [
    ["shared", "exactly_once_v2"],
    ["shared2", "at_least_once"],
  ] as const)
    test(`hosts join and leave under load, ${guarantee}: nothing is lost or doubled`, async () => {
      const join = (name: string) => start(fn, name, { "processing.guarantee": guarantee });
      const all: Event[] = [];
      const hosts: RunningEngine[] = [await join("a")];
      const [first] = hosts as [RunningEngine];
      const send = async (count: number): Promise<void> => {
        const chunk = events(all.length, count);
        all.push(...chunk);
        await feed(hosts.at(-1) ?? first, fn, chunk);
      };
      const balanced = (counts: readonly number[]): Promise<unknown> =>
        until(`tasks divided as ${counts.join(", ")}`, async () => {
          const now = await Promise.all(
            hosts.map(async ({ api }) => (await api.tasks()).filter(({ state }) => state === "RUNNING").length),
          );
          return JSON.stringify(now) === JSON.stringify(counts);
        });
      try {
        await send(500);
        for (const name of ["b", "c"]) {
          const joining = join(name);
          await send(500);
          hosts.push(await joining);
          await send(500);
          await balanced([2, 2]);
          // Who has what is known to everybody.
          const owners = new Set(KEYS.map((key) => hosts[0]?.api.metadata(fn, key).active?.id));
          assert.equal(owners.size, 2);
          await send(500);
          const leaving = hosts.shift();
          const stopped = leaving?.stop();
          await send(500);
          await stopped;
          await send(500);
          await balanced([4]);
        }
        const [last] = hosts as [RunningEngine];
        const end = events(all.length, 100);
        all.push(...end);
        await caughtUp(last, fn, await feed(last, fn, end));
        assert.deepEqual(await states(last, fn), fold(all));
        await last.stop();
        hosts[0] = await join("d");
        assert.deepEqual(await states(hosts[0], fn), fold(all), "a host that comes with nothing");
        assert.deepEqual(await audit(hosts[0], fn), all.map(({ key, n }) => `${key} ${n}`).sort());
      } finally {
        for (const host of hosts) await host.stop();
      }
    });

  test("over HTTP: every host says where a key is, and refuses what only the other one could answer", async () => {
    const web = await createProject({ web: chain("web") }, `app-${run}`);
    const config = (host: string) =>
      web.config(layer({ "state.dir": `${web.dir}/state-${host}`, "group.instance.id": host, http: { port: 0, internalPort: 0 } }));
    const hosts: RunningHost[] = [];
    try {
      for (const name of ["one", "two"]) hosts.push(await startHost(await config(name), { logger: pino({ level: "silent" }) }));
      await Promise.all(hosts.map(({ running }) => running));
      const [one, two] = hosts as [RunningHost, RunningHost];
      await until("they share the tasks", async () =>
        hosts.every(({ api }) => api.notReady().length === 0 && api.hosts().every(({ tasks }) => tasks === 2)),
      );
      assert.deepEqual(
        new Map(one.api.hosts().map(({ id, url }) => [id, url])),
        new Map([
          ["one", one.publicUrl],
          ["two", two.publicUrl],
        ]),
      );
      let refused = 0;
      for (const key of KEYS) {
        const { active } = (await (await fetch(`${one.publicUrl}/v1/functions/web/metadata?key=${key}`)).json()) as {
          active: { id: string; url: string };
        };
        const ask = (url: string) =>
          fetch(`${url}/v1/functions/web/keys/${key}`, {
            method: "POST",
            headers: { "content-type": "application/json" },
            body: `{"n":1}`,
          });
        const answer = await ask(active.url);
        const body = (await answer.json()) as { value?: Chain };
        assert.equal(body.value?.count, 1, JSON.stringify(body));
        const other = active.url === one.publicUrl ? two : one;
        const elsewhere = await ask(other.publicUrl);
        const problem = (await elsewhere.json()) as { code: string; detail: string };
        assert.deepEqual([elsewhere.status, problem.code], [503, "not-ready"]);
        assert.ok(problem.detail.includes(active.url), problem.detail);
        refused++;
      }
      assert.equal(refused, KEYS.length);
      // A static member that stops keeps its tasks for a session: it is expected back.
      await two.stop();
      hosts[1] = await startHost(await config("two"), { logger: pino({ level: "silent" }) });
      await hosts[1].running;
      assert.equal(one.api.notReady().length, 0);
    } finally {
      for (const host of hosts) await host.stop();
      await web.remove();
    }
  });
});
