import type { Manifest, StoreManifest } from "../bundle/manifest.ts";
import type { ResolvedConfig } from "../config/resolved.ts";
import { KeyfoldError } from "../errors.ts";
import type { Log, TopicConfig } from "../log/log.ts";
import { changelogTopic } from "../topology/names.ts";

const DAY = 24 * 60 * 60 * 1000;

/** Partition counts of every topic a set of functions touches. */
export type Partitions = Map<string, number>;

/**
 * Creates what a function needs: its sources and sinks (by the config, or with the default count), its repartition topics
 * and its changelogs. Existing topics are checked, never changed.
 */
export async function ensureTopics(log: Log, config: ResolvedConfig, manifest: Manifest, known: Partitions): Promise<void> {
  const { subtopologies } = manifest.topology;
  const internal = new Map(subtopologies.flatMap((s) => s.repartitions.map((r) => [r.topic, r] as const)));
  for (const topic of new Set(subtopologies.flatMap((s) => s.sources.map((source) => source.topic)))) {
    if (!internal.has(topic)) await ensureUserTopic(log, config, topic, known);
  }
  for (let round = 0; internal.size > 0; round++) {
    for (const [topic, spec] of [...internal]) {
      const count = spec.partitions ?? repartitionCount(subtopologies, topic, known);
      if (count === undefined) continue;
      internal.delete(topic);
      const made = await log.ensureTopic({
        name: topic,
        partitions: count,
        config: { "cleanup.policy": "delete", "retention.ms": "-1", ...spec.config },
      });
      known.set(topic, made.partitions);
    }
    if (round > subtopologies.length)
      throw new KeyfoldError(
        "topology-invalid",
        `function ${manifest.name}: repartition topics feed each other: ${[...internal.keys()].join(", ")}`,
      );
  }
  checkCopartitioned(manifest, known);
  const application = `${config.name}-${manifest.name}`;
  for (const subtopology of subtopologies) {
    const tasks = widest(subtopology.sources, known) ?? 0;
    for (const store of subtopology.stores) {
      if (!store.logged) continue;
      const name = changelogTopic(application, store.name);
      const made = await log.ensureTopic({ name, partitions: tasks, config: changelogConfig(store) });
      known.set(name, made.partitions);
    }
    for (const sink of subtopology.sinks) if (!known.has(sink.topic)) await ensureUserTopic(log, config, sink.topic, known);
  }
}

/**
 * Whether a topic is the engine's own: a changelog or repartition topic. Of a name like theirs is also a user's topic, where a function
 * reads or writes it or the config names it; what nobody knows is what a function that is gone has left behind.
 */
export function isInternalTopic(topic: string, config: ResolvedConfig, manifests: () => readonly Manifest[]): boolean {
  if (!topic.startsWith(`${config.name}-`) || !/-(changelog|repartition)$/.test(topic)) return false;
  let isNamed = Object.hasOwn(config.topics, topic);
  for (const { name, topology } of manifests()) {
    for (const { sources, sinks, stores, repartitions } of topology.subtopologies) {
      if (stores.some((store) => store.logged && changelogTopic(`${config.name}-${name}`, store.name) === topic)) return true;
      if (repartitions.some((repartition) => repartition.topic === topic)) return true;
      isNamed ||= [...sources, ...sinks].some((other) => other.topic === topic);
    }
  }
  return !isNamed;
}

/** A user's topic, created on first sight with the config's partition count. */
export async function ensureUserTopic(log: Log, config: ResolvedConfig, topic: string, known: Partitions): Promise<number> {
  const have = known.get(topic);
  if (have !== undefined) return have;
  const asked = config.topics[topic];
  const existing = await log.describe(topic);
  const made =
    existing !== undefined && asked === undefined
      ? existing
      : await log.ensureTopic({
          name: topic,
          partitions: asked?.partitions ?? config.defaultPartitions,
          ...(asked === undefined ? {} : { config: asked.config }),
        });
  known.set(topic, made.partitions);
  return made.partitions;
}

/**
 * A windowed changelog keeps its records for the store's retention after their append. By the time of the events, as Kafka Streams
 * has it, the windows of events of the past would be deleted while the store has them still. (A value has its own time in it.)
 */
function changelogConfig(store: StoreManifest): TopicConfig {
  const kept: TopicConfig = store.windowed
    ? {
        "cleanup.policy": "compact,delete",
        "retention.ms": String((store.retentionMs ?? DAY) + DAY),
        "message.timestamp.type": "LogAppendTime",
      }
    : { "cleanup.policy": "compact" };
  return { ...kept, ...store.changelog };
}

/**
 * As many partitions as the topics that its reader reads beside it, since their keys must meet; where there are only
 * repartition topics, as many as the widest source of any of their writers. Undefined while that is not known.
 */
function repartitionCount(subtopologies: Manifest["topology"]["subtopologies"], topic: string, known: Partitions): number | undefined {
  const internal = new Set(subtopologies.flatMap((s) => s.repartitions.map((r) => r.topic)));
  const beside = subtopologies.find((s) => s.sources.some((source) => source.topic === topic))?.sources ?? [];
  const users = beside.filter((source) => !source.global && !internal.has(source.topic));
  if (users.length > 0) return widest(users, known);
  let most: number | undefined;
  for (const source of beside) {
    if (source.global) continue;
    const writer = subtopologies.find((s) => s.repartitions.some((r) => r.topic === source.topic));
    const count = writer?.repartitions.find((r) => r.topic === source.topic)?.partitions ?? widest(writer?.sources, known);
    if (count === undefined) return undefined;
    most = Math.max(most ?? 0, count);
  }
  return most;
}

function widest(sources: readonly { topic: string; global: boolean }[] | undefined, known: Partitions): number | undefined {
  let most: number | undefined;
  for (const source of sources ?? []) {
    if (source.global) continue;
    const count = known.get(source.topic);
    if (count === undefined) return undefined;
    most = Math.max(most ?? 0, count);
  }
  return most;
}

/** Sources that meet in one subtopology must have the same number of partitions: keys would not meet otherwise. */
function checkCopartitioned(manifest: Manifest, known: Partitions): void {
  for (const { sources } of manifest.topology.subtopologies) {
    const counts = sources
      .filter((source) => !source.global)
      .map((source) => ({ topic: source.topic, count: known.get(source.topic) ?? 0 }));
    if (new Set(counts.map(({ count }) => count)).size <= 1) continue;
    throw new KeyfoldError(
      "topology-invalid",
      `function ${manifest.name} reads topics that must have the same number of partitions: ${counts.map(({ topic, count }) => `${topic} has ${count}`).join(", ")}; set \`topics\` in the config, or put .repartition() before the join`,
      { details: { function: manifest.name, counts } },
    );
  }
}
