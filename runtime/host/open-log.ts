import { join } from "node:path";
import type { ResolvedConfig } from "../config/resolved.ts";
import { openEmbeddedLog } from "../log/embedded/log.ts";
import type { GroupOptions, KafkaGroup } from "../log/kafka/group.ts";
import type { Log } from "../log/log.ts";
import type { LogMetrics } from "../observe/log-series.ts";
import type { Logger } from "../observe/logger.ts";
import { assignTasks } from "../pool/assignor.ts";

/** Membership of one consumer group. */
export type Member = Pick<KafkaGroup, "start" | "isMember" | "close">;
/** Makes a member of a group; it joins when it is started. */
export type Join = (options: Omit<GroupOptions, "cluster" | "assign">) => Member;

export interface HostLog {
  readonly log: Log & { metrics(): LogMetrics };
  /** Absent: this host has all tasks (embedded log). */
  readonly join?: Join;
}

/** The main thread's log by the config: the embedded one, which workers reach through it, or Kafka, which each thread opens for itself. */
export async function openHostLog(config: ResolvedConfig, logger?: Pick<Logger, "warn">): Promise<HostLog> {
  if (config.log.kind === "embedded") {
    const dir = join(config.engine["state.dir"], "log");
    return { log: await openEmbeddedLog({ dir, flush: config.log.flush, onNotice: (message) => logger?.warn(message) }) };
  }
  // Loaded when needed: a host on the embedded log does without kafkajs.
  const [{ openKafkaLog }, { KafkaGroup }] = await Promise.all([import("../log/kafka/log.ts"), import("../log/kafka/group.ts")]);
  const log = await openKafkaLog({ ...config.log, clientId: config.name });
  return { log, join: (options) => new KafkaGroup({ cluster: log.cluster, assign: assignTasks, ...options }) };
}
