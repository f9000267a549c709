import { openKafkaLog } from "../../../runtime/log/kafka/log.ts";
import { describeKafka } from "../../fixtures/kafka-broker.ts";
import { logContract } from "../contract.ts";

describeKafka("kafka", {}, (broker) => {
  logContract("kafka", async () => ({
    open: () => openKafkaLog({ brokers: broker().brokers, unavailableAfterMs: 10_000 }),
    cleanup: async () => {},
  }));
});
