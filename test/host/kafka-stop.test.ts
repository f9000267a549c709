import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { HostProcess } from "../chaos/host-process.ts";
import { chain, type Event, events, fold, run } from "../fixtures/chain.ts";
import { createProject } from "../fixtures/engine.ts";
import { describeKafka } from "../fixtures/kafka-broker.ts";
import { until } from "../fixtures/until.ts";

describeKafka("a host on Kafka that is stopped while no broker answers", { settings: {} }, (broker) => {
  test("gives up after stop.max.ms, says so, ends with 7; the next start has lost nothing", async () => {
    const project = await createProject({ stopped: chain("stopped") });
    const config = (stopMaxMs: number) => ({
      log: { kind: "kafka", brokers: broker().brokers },
      "processing.guarantee": "exactly_once_v2",
      "session.timeout.ms": 6_000,
      // Nothing is committed before the stop.
      "commit.interval.ms": 600_000,
      "num.stream.threads": 2,
      limits: { "stop.max.ms": stopMaxMs },
    });
    const hosts: HostProcess[] = [];
    const started = async (stopMaxMs: number): Promise<string> => {
      await writeFile(join(project.dir, "wrangler-like.config.ts"), `export default ${JSON.stringify(config(stopMaxMs))};\n`);
      const host = new HostProcess(project.dir, join(project.dir, "state"));
      hosts.push(host);
      return (await host.listening).public;
    };
    const states = async (url: string, all: readonly Event[]): Promise<void> => {
      const expected = fold(all);
      await until("the states", async () => {
        for (const [key, { chain: sum, count }] of expected) {
          const response = await fetch(`${url}/v1/functions/stopped/keys/${key}`);
          const { value } = (await response.json()) as { value?: { chain: number; count: number } };
          if (value?.count !== count) return false;
          assert.equal(value.chain, sum);
        }
        return true;
      });
    };
    try {
      const url = await started(700);
      const all = events(0, 400);
      const answer = await fetch(`${url}/v1/topics/stopped-events-${run}/records`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(all.map(({ key, n }) => ({ key, value: { n } }))),
      });
      assert.equal(answer.status, 200, await answer.text());
      await states(url, all);
      await broker().kill();
      assert.equal(await hosts[0]?.stop(), 7, hosts[0]?.stderr);
      assert.match(hosts[0]?.stderr ?? "", /stopped without the last commit.*stop\.max\.ms/);
      await broker().start();
      await states(await started(60_000), all);
      assert.equal(await hosts[1]?.stop(), 0, hosts[1]?.stderr);
    } finally {
      for (const host of hosts) await host.kill();
      await project.remove();
    }
  });
});
