import assert from "node:assert/strict";
import { test } from "node:test";
import { KeyfoldError } from "../../../runtime/errors.ts";
import { openKafkaLog } from "../../../runtime/log/kafka/log.ts";
import { describeKafka } from "../../fixtures/kafka-broker.ts";
import { outBatch, readAll } from "../helpers.ts";
import { newGroup, newTopic, openLog } from "./helpers.ts";

describeKafka("kafka: TLS and SASL", { listener: "secure" }, (broker) => {
  for (const mechanism of ["plain", "scram-sha-256", "scram-sha-512"] as const) {
    test(`${mechanism} over TLS: topics, writes, transactions, reads`, async (t) => {
      const { brokers, ca, username, password } = broker().secure;
      const log = await openLog(t, brokers, { ssl: { ca }, sasl: { mechanism, username, password } });
      const topic = await newTopic(log);
      const group = newGroup();
      await log.append([outBatch(topic, 0, [["a", "1"]])]);
      await log.commit({
        group,
        producer: group,
        atomic: true,
        offsets: [{ topic, partition: 0, offset: 1 }],
        batches: [outBatch(topic, 0, [["b", "2"]])],
      });
      assert.deepEqual(
        (await readAll(log, topic, 0)).map(({ key }) => key),
        ["a", "b"],
      );
      assert.equal((await log.committed(group, [{ topic, partition: 0 }]))[0]?.offset, 1);
    });

    test(`${mechanism}: a wrong password is said at once, without being tried again, and does not show`, async () => {
      const { brokers, ca, username } = broker().secure;
      await assert.rejects(openKafkaLog({ brokers, ssl: { ca }, sasl: { mechanism, username, password: "wrong-password" } }), (thrown) => {
        assert.ok(thrown instanceof KeyfoldError);
        assert.equal(thrown.code, "unauthorized", thrown.stack);
        assert.match(thrown.message, /log\.sasl/);
        assert.ok(!JSON.stringify(thrown.toWire()).includes("wrong-password"));
        return true;
      });
    });
  }

  test("a certificate that nobody vouches for is refused, and the message says so", async () => {
    const { brokers, username, password } = broker().secure;
    await assert.rejects(openKafkaLog({ brokers, ssl: true, sasl: { mechanism: "plain", username, password } }), (thrown) => {
      assert.ok(thrown instanceof KeyfoldError);
      assert.equal(thrown.remedy, "user");
      assert.match(thrown.message, /self[- ]signed certificate.*log\.ssl/);
      return true;
    });
    // TLS where there is none.
    await assert.rejects(
      openKafkaLog({ brokers: broker().brokers, ssl: true, unavailableAfterMs: 500 }),
      (thrown) => thrown instanceof KeyfoldError && /TLS/.test(thrown.message),
    );
  });

  test("brokers that are not there, and addresses that are none", async () => {
    await assert.rejects(openKafkaLog({ brokers: ["127.0.0.1:1"], unavailableAfterMs: 300 }), (thrown) => {
      assert.ok(thrown instanceof KeyfoldError);
      assert.equal(thrown.code, "log-unavailable");
      assert.match(thrown.message, /127\.0\.0\.1:1/);
      return true;
    });
    for (const brokers of [[], ["localhost"], ["http://localhost:9092"]])
      await assert.rejects(openKafkaLog({ brokers }), (thrown) => thrown instanceof KeyfoldError && thrown.code === "config-invalid");
  });
});
