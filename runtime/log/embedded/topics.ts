import { KeyfoldError } from "../../errors.ts";
import type { TopicConfig, TopicDescription, TopicSpec } from "../log.ts";
import type { Partition } from "./partition.ts";

/** A topic in memory: what it is, and its partitions. */
export interface Topic {
  readonly id: number;
  readonly description: TopicDescription;
  readonly partitions: readonly Partition[];
}

/** What is stored about a topic. */
export interface StoredTopic {
  readonly id: number;
  readonly partitions: number;
  readonly config: TopicConfig;
}

/**
 * The settings that this log acts on, with Kafka's defaults but one. Others are kept, and have no effect.
 * `retention.ms`: Kafka's broker would delete after seven days, by the records' own time, so that events of last year go
 * within seconds of their append. Here nothing is deleted that nobody asked to have deleted.
 */
const DEFAULTS: TopicConfig = {
  "cleanup.policy": "delete",
  "retention.ms": "-1",
  "retention.bytes": "-1",
  "delete.retention.ms": "86400000",
  "min.compaction.lag.ms": "0",
  "message.timestamp.type": "CreateTime",
};
const NUMBERS = ["retention.ms", "retention.bytes", "delete.retention.ms", "min.compaction.lag.ms"];

/** The value in force of one setting. */
function setting(config: TopicConfig, name: string): string | undefined {
  return config[name] ?? DEFAULTS[name];
}

/** A numeric setting in force; checked when the topic was created. */
export function numericSetting(config: TopicConfig, name: string): number {
  return Number(setting(config, name));
}

export function isCompacted(config: TopicConfig): boolean {
  return policies(config).includes("compact");
}

export function isDeleted(config: TopicConfig): boolean {
  return policies(config).includes("delete");
}

export function isStamped(config: TopicConfig): boolean {
  return setting(config, "message.timestamp.type") === "LogAppendTime";
}

function policies(config: TopicConfig): string[] {
  return (setting(config, "cleanup.policy") ?? "").split(",").map((policy) => policy.trim());
}

/** Throws `config-invalid` for what Kafka would refuse too. */
export function checkSpec({ name, partitions, config = {} }: TopicSpec): void {
  const refuse = (what: string): KeyfoldError =>
    new KeyfoldError("config-invalid", `Topic "${name}" cannot be created: ${what}.`, { details: { topic: name } });
  if (!/^[a-zA-Z0-9._-]{1,249}$/.test(name) || name === "." || name === "..")
    throw refuse("a name has 1 to 249 letters, digits, dots, underscores and hyphens");
  if (!Number.isInteger(partitions) || partitions < 1 || partitions > 10_000)
    throw refuse(`${partitions} is not a number of partitions (1 to 10000)`);
  for (const setting of NUMBERS) {
    const value = config[setting];
    if (value !== undefined && !/^(-1|\d+)$/.test(value)) throw refuse(`${setting} is "${value}", not a whole number`);
  }
  for (const policy of policies(config)) {
    if (policy !== "delete" && policy !== "compact")
      throw refuse(`cleanup.policy is "${config["cleanup.policy"]}", not delete, compact or both`);
  }
}

/** Throws `topic-mismatch` where an existing topic differs from what is asked for. Settings that are not asked for are not compared. */
export function checkAgrees(existing: TopicDescription, spec: TopicSpec): void {
  const differ = (what: string, has: unknown, wanted: unknown): KeyfoldError =>
    new KeyfoldError(
      "topic-mismatch",
      `Topic "${spec.name}" exists with ${what} ${String(has)}, but ${String(wanted)} is asked for. Ask for ${String(has)}, use another name, or delete the topic first.`,
      { details: { topic: spec.name, setting: what, existing: has, wanted } },
    );
  if (existing.partitions !== spec.partitions) throw differ("partitions", existing.partitions, spec.partitions);
  for (const [name, wanted] of Object.entries(spec.config ?? {})) {
    const has = setting(existing.config, name);
    if (normal(name, has) !== normal(name, wanted)) throw differ(name, has ?? "unset", wanted);
  }
}

/** "delete,compact" and "compact, delete" are the same. */
function normal(name: string, value: string | undefined): string | undefined {
  return name === "cleanup.policy"
    ? value
        ?.split(",")
        .map((policy) => policy.trim())
        .sort()
        .join(",")
    : value;
}
