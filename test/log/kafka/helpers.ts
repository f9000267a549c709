import { randomUUID } from "node:crypto";
import type { TestContext } from "node:test";
import { type KafkaLogOptions, openKafkaLog } from "../../../runtime/log/kafka/log.ts";
import type { Log } from "../../../runtime/log/log.ts";

export type KafkaLog = Awaited<ReturnType<typeof openKafkaLog>>;

/** A log of one test, closed after it. */
export async function openLog(t: TestContext, brokers: readonly string[], options: Partial<KafkaLogOptions> = {}): Promise<KafkaLog> {
  const log = await openKafkaLog({ brokers, unavailableAfterMs: 20_000, ...options });
  t.after(() => log.close());
  return log;
}

export async function newTopic(log: Log, partitions = 1, config: Record<string, string> = {}): Promise<string> {
  const name = `t-${randomUUID()}`;
  await log.ensureTopic({ name, partitions, config });
  return name;
}

export function newGroup(): string {
  return `g-${randomUUID()}`;
}
