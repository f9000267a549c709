import assert from "node:assert/strict";
import { test } from "node:test";
import { pino } from "pino";
import { startHost } from "../../runtime/host/host.ts";
import { caughtUp, chain, events, feed, run } from "../fixtures/chain.ts";
import { createProject } from "../fixtures/engine.ts";
import { describeKafka } from "../fixtures/kafka-broker.ts";

describeKafka("the metrics of a host on Kafka", { listener: "proxied" }, (broker) => {
  test("requests, transactions and repetitions of every worker's own log", async () => {
    const project = await createProject({ counted: chain("counted") }, `app-${run}`);
    const config = await project.config({
      log: { kind: "kafka", brokers: broker().proxy.brokers },
      "num.stream.threads": 2,
      "processing.guarantee": "exactly_once_v2",
      "commit.interval.ms": 20,
      http: { port: 0, internalPort: 0 },
    });
    const host = await startHost(config, { logger: pino({ level: "silent" }) });
    try {
      await host.running;
      broker().proxy.inject("EndTxn", { kind: "error", errorCode: 16 });
      const fed = await feed(host, "counted", events(0, 500));
      await caughtUp(host, "counted", fed);
      for (const key of fed.keys()) await host.api.invoke("counted", key, Buffer.from(`{"n":1}`), "committed");
      const text = await (await fetch(`${host.internalUrl}/metrics`)).text();
      const value = (series: string): number => {
        const line = text.split("\n").find((one) => one.startsWith(`${series} `));
        assert.ok(line, `${series} in\n${text}`);
        return Number(line.slice(series.length));
      };
      for (const worker of ["0", "1"]) {
        for (const name of ["fetches", "fetched_bytes", "transactions", "appended_records"])
          assert.ok(value(`keyfold_log_${name}_total{log="kafka",worker="${worker}"}`) > 0, name);
        for (const request of ["Fetch", "Produce", "EndTxn", "TxnOffsetCommit"])
          assert.ok(value(`keyfold_kafka_requests_total{request="${request}",worker="${worker}"}`) > 0, request);
      }
      const retries = ["0", "1"].map((worker) => value(`keyfold_log_retries_total{log="kafka",worker="${worker}"}`));
      assert.ok(Math.max(...retries) > 0, "the EndTxn that was refused was repeated");
      assert.ok(value(`keyfold_log_appended_records_total{log="kafka"}`) > 500, "the host's own log took the events");
    } finally {
      await host.stop();
      await project.remove();
    }
  });
});
