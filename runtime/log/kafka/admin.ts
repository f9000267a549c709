import { KeyfoldError } from "../../errors.ts";
import type { TopicDescription, TopicSpec } from "../log.ts";
import { CreateTopics, DeleteTopics, DescribeConfigs, type Setting } from "./api/topics.ts";
import { retrying } from "./back-off.ts";
import type { Cluster } from "./cluster.ts";
import { BrokerError, CODE, check } from "./protocol-errors.ts";

/** How long the controller may take over a topic, ms. */
const CONTROLLER_WAIT_MS = 10_000;

/** A topic with every setting in force, inherited ones too. */
interface Found {
  readonly description: TopicDescription;
  readonly settings: readonly Setting[];
}

export async function ensureTopic(
  cluster: Cluster,
  spec: TopicSpec,
  replicationFactor: number,
  deadline: number,
): Promise<TopicDescription> {
  let existing = await findTopic(cluster, spec.name, deadline);
  if (existing === undefined) {
    await createTopic(cluster, spec, replicationFactor, deadline);
    existing = await appearing(cluster, spec.name, deadline);
  }
  checkAgrees(existing, spec);
  return existing.description;
}

async function createTopic(cluster: Cluster, spec: TopicSpec, replicationFactor: number, deadline: number): Promise<void> {
  await retrying(
    async () => {
      const [result] = await cluster.callController(
        CreateTopics,
        { topic: spec, replicationFactor, timeoutMs: CONTROLLER_WAIT_MS },
        CONTROLLER_WAIT_MS,
      );
      const { errorCode, text } = result ?? { errorCode: CODE.none, text: null };
      if (errorCode === CODE.topicExists) return;
      if ([17, 37, 38, 40, 42, 44].includes(errorCode)) {
        const error = new BrokerError(errorCode, "CreateTopics", text);
        throw new KeyfoldError(
          "config-invalid",
          `Topic "${spec.name}" cannot be created: ${text ?? error.message}. Check its settings under topics, and log.replicationFactor.`,
          { cause: error, details: { topic: spec.name } },
        );
      }
      check(errorCode, `CreateTopics of ${spec.name}`, text);
    },
    { deadline, signal: cluster.signal },
  );
}

/** A topic is created before every broker has heard of it. */
function appearing(cluster: Cluster, name: string, deadline: number): Promise<Found> {
  return retrying(
    async () => {
      const found = await findTopic(cluster, name, deadline);
      for (let partition = 0; partition < (found?.description.partitions ?? 0); partition++) await cluster.leader(name, partition);
      if (found === undefined) throw new BrokerError(CODE.unknownTopicOrPartition, `metadata of ${name}`);
      return found;
    },
    { deadline, signal: cluster.signal },
  );
}

export async function describeTopic(cluster: Cluster, name: string, deadline: number): Promise<TopicDescription | undefined> {
  return (await findTopic(cluster, name, deadline))?.description;
}

function findTopic(cluster: Cluster, name: string, deadline: number): Promise<Found | undefined> {
  return retrying(async () => (await findTopics(cluster, [name]))[0], { deadline, signal: cluster.signal });
}

/** All topics but Kafka's own. */
export function allTopics(cluster: Cluster, deadline: number): Promise<TopicDescription[]> {
  return retrying(async () => (await findTopics(cluster, null)).map(({ description }) => description), {
    deadline,
    signal: cluster.signal,
  });
}

async function findTopics(cluster: Cluster, names: readonly string[] | null): Promise<Found[]> {
  const { topics } = await cluster.metadata(names);
  const there = topics.filter(({ internal, errorCode }) => !internal && errorCode !== CODE.unknownTopicOrPartition && errorCode !== 17);
  for (const { name, errorCode } of there) check(errorCode, `metadata of ${name}`);
  if (there.length === 0) return [];
  const configs = new Map(
    (await cluster.callAny(DescribeConfigs, { topics: there.map(({ name }) => name) })).map((result) => [result.name, result]),
  );
  const found: Found[] = [];
  for (const { name, partitions } of there) {
    const config = configs.get(name);
    if (config === undefined || config.errorCode === CODE.unknownTopicOrPartition) continue;
    check(config.errorCode, `settings of ${name}`, config.text);
    const own = config.settings.filter((setting) => setting.own).map((setting) => [setting.name, setting.value ?? ""] as const);
    found.push({ description: { name, partitions: partitions.length, config: Object.fromEntries(own) }, settings: config.settings });
  }
  return found;
}

/** Throws `topic-mismatch` where an existing topic differs from what is asked for. Settings that are not asked for are not compared. */
function checkAgrees({ description, settings }: Found, spec: TopicSpec): void {
  const differ = (what: string, has: unknown, wanted: unknown): KeyfoldError =>
    new KeyfoldError(
      "topic-mismatch",
      `Topic "${spec.name}" exists with ${what} ${String(has)}, but ${String(wanted)} is asked for. Ask for ${String(has)}, use another name, or change or delete the topic first.`,
      { details: { topic: spec.name, setting: what, existing: has, wanted } },
    );
  if (description.partitions !== spec.partitions) throw differ("partitions", description.partitions, spec.partitions);
  for (const [name, wanted] of Object.entries(spec.config ?? {})) {
    const has = settings.find((setting) => setting.name === name)?.value ?? undefined;
    if (normal(name, has) !== normal(name, wanted)) throw differ(name, has ?? "unset", wanted);
  }
}

/** "delete,compact" and "compact, delete" are the same. */
function normal(name: string, value: string | undefined): string | undefined {
  if (name !== "cleanup.policy") return value;
  return value
    ?.split(",")
    .map((policy) => policy.trim())
    .sort()
    .join(",");
}

export async function deleteTopic(cluster: Cluster, name: string, deadline: number): Promise<void> {
  await retrying(
    async () => {
      const [result] = await cluster.callController(DeleteTopics, { topics: [name], timeoutMs: CONTROLLER_WAIT_MS }, CONTROLLER_WAIT_MS);
      const errorCode = result?.errorCode ?? CODE.none;
      if (errorCode === CODE.unknownTopicOrPartition)
        throw new KeyfoldError("topic-unknown", `There is no topic "${name}".`, { details: { topic: name } });
      check(errorCode, `DeleteTopics of ${name}`);
    },
    { deadline, signal: cluster.signal },
  );
  cluster.topicDeleted(name);
  const STILL_THERE = new BrokerError(CODE.topicExists, `deletion of ${name}`);
  await retrying(
    async () => {
      const { topics } = await cluster.metadata([name]);
      if (topics.some((topic) => topic.name === name && topic.errorCode === CODE.none)) throw STILL_THERE;
    },
    { deadline, signal: cluster.signal, also: (thrown) => thrown === STILL_THERE },
  );
}
