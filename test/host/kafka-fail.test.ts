import assert from "node:assert/strict";
import { test } from "node:test";
import { caughtUp, chain, type Event, events, feed, fold, run, states } from "../fixtures/chain.ts";
import { createProject, type RunningEngine, startEngine } from "../fixtures/engine.ts";
import { describeKafka } from "../fixtures/kafka-broker.ts";
import { until } from "../fixtures/until.ts";

describeKafka("a record that fails a function whose policy is `fail`, on several hosts", {}, (broker) => {
  test("each host that gets it stops the function and says so; none goes past it, none tries for ever, nothing is lost", async () => {
    const project = await createProject({ failing: chain("failing") }, `app-${run}`);
    const start = async (host: string, onError: "fail" | "dead-letter"): Promise<RunningEngine> => {
      const config = await project.config({
        log: { kind: "kafka", brokers: broker().brokers },
        "session.timeout.ms": 1_500,
        "num.stream.threads": 2,
        "processing.guarantee": "exactly_once_v2",
        "commit.interval.ms": 20,
        "state.dir": `${project.dir}/state-${host}`,
        functions: { failing: { onError } },
      });
      return startEngine(config, {}, ["failing"]);
    };
    const hosts: RunningEngine[] = [];
    const info = async ({ api }: RunningEngine) => (await api.functions())[0];
    const failed = (host: RunningEngine): Promise<unknown> =>
      until("the function has stopped", async () => (await info(host))?.state === "ERROR");
    try {
      for (const name of ["a", "b"]) hosts.push(await start(name, "fail"));
      const [a, b] = hosts as [RunningEngine, RunningEngine];
      const before: Event[] = events(0, 400);
      await feed(a, "failing", before);
      await a.api.append(`failing-events-${run}`, [{ key: "key-1", value: Buffer.from(`{"n":400,"boom":true}`) }]);
      // Whichever has the key fails first and leaves the group; the other is given its tasks, and fails in its turn.
      await Promise.all([failed(a), failed(b)]);
      for (const host of hosts) {
        assert.match((await info(host))?.error ?? "", /no 400/, "the record's own error");
        assert.deepEqual(host.api.unhealthy().length, 1);
        await until("it has let go of its tasks", async () => (await host.api.tasks()).length === 0);
        await assert.rejects(host.api.get("failing", "key-1", {}), { code: "task-failed" });
      }
      // Events are still taken: they wait.
      const after = events(401, 400);
      await feed(a, "failing", after);
      const third = await start("c", "fail");
      hosts.push(third);
      await failed(third);
      for (const host of hosts.splice(0)) await host.stop();
      // Somebody has looked into it, and lets the record be set aside.
      const mended = await start("a", "dead-letter");
      hosts.push(mended);
      const end = events(801, 100);
      await caughtUp(mended, "failing", await feed(mended, "failing", end));
      assert.deepEqual(await states(mended, "failing"), fold([...before, ...after, ...end]));
    } finally {
      for (const host of hosts) await host.stop();
      await project.remove();
    }
  });
});
