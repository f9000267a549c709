import assert from "node:assert/strict";
import { test } from "node:test";
import { audit, caughtUp, chain, type Event, events, feed, fold, run, states } from "../fixtures/chain.ts";
import { createProject, startEngine } from "../fixtures/engine.ts";
import { describeKafka } from "../fixtures/kafka-broker.ts";
import { until } from "../fixtures/until.ts";

describeKafka("a host on several brokers", { nodes: 2 }, (broker) => {
  test("a broker dies and comes back under load: leaders and coordinators move, nothing is lost or doubled", async () => {
    const project = await createProject({ moved: chain("moved") }, `app-${run}`);
    const config = await project.config({
      log: { kind: "kafka", brokers: broker().brokers, replicationFactor: 2 },
      "session.timeout.ms": 20_000,
      "num.stream.threads": 2,
      defaultPartitions: 6,
      "processing.guarantee": "exactly_once_v2",
      "commit.interval.ms": 20,
      "state.dir": `${project.dir}/state`,
    });
    const host = await startEngine(config, {}, ["moved"]);
    const all: Event[] = [];
    let feeding = true;
    const feeder = (async () => {
      while (feeding) {
        const chunk = events(all.length, 50);
        await feed(host, "moved", chunk);
        all.push(...chunk);
      }
    })();
    const more = async (): Promise<unknown> => {
      const from = all.length;
      return until("events are taken", () => all.length > from + 500);
    };
    try {
      await more();
      await broker().kill(2);
      await more();
      await broker().start(2);
      await more();
      feeding = false;
      await feeder;
      const end = events(all.length, 100);
      all.push(...end);
      await caughtUp(host, "moved", await feed(host, "moved", end));
      assert.deepEqual(await states(host, "moved"), fold(all));
      await host.stop();
      const again = await startEngine(config, {}, ["moved"]);
      try {
        assert.deepEqual(await audit(again, "moved"), all.map(({ key, n }) => `${key} ${n}`).sort());
      } finally {
        await again.stop();
      }
    } finally {
      feeding = false;
      await feeder.catch(() => undefined);
      await host.stop();
      await project.remove();
    }
  });
});
