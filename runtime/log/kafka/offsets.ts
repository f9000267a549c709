import { KeyfoldError } from "../../errors.ts";
import type { OffsetRange, OffsetCommit as Position, TopicPartition } from "../log.ts";
import { EARLIEST, LATEST, ListOffsets } from "./api/fetch.ts";
import { DeleteGroups } from "./api/group.ts";
import { type FetchedOffset, type Membership, OffsetCommit, OffsetFetch } from "./api/offsets.ts";
import { retrying } from "./back-off.ts";
import type { Cluster } from "./cluster.ts";
import { CODE, check } from "./protocol-errors.ts";

/** First readable offset and last stable offset of each partition, in the order asked. */
export async function offsetRanges(cluster: Cluster, partitions: readonly TopicPartition[], deadline: number): Promise<OffsetRange[]> {
  const [starts, ends] = await Promise.all([
    listOffsets(cluster, partitions, EARLIEST, deadline),
    listOffsets(cluster, partitions, LATEST, deadline),
  ]);
  return partitions.map((_, i) => ({ start: starts[i] ?? 0, end: ends[i] ?? 0 }));
}

/**
 * Throws (`log-unavailable`, to be tried again) while one of the partitions holds a transaction that has not ended. For partitions whose
 * only writer we are: when we have fenced who wrote there before us nothing can be open, unless Kafka has forgotten an end marker
 * (seen with 4.3, when a partition is without a leader at that moment). What was committed behind it cannot be read then, so a
 * store that was restored from such a changelog would be an old one.
 */
export async function checkEnded(cluster: Cluster, partitions: readonly TopicPartition[], deadline: number): Promise<void> {
  const [stable, ends] = await Promise.all([
    listOffsets(cluster, partitions, LATEST, deadline),
    listOffsets(cluster, partitions, LATEST, deadline, true),
  ]);
  for (const [i, { topic, partition }] of partitions.entries()) {
    const [from = 0, end = 0] = [stable[i], ends[i]];
    if (from >= end) continue;
    throw new KeyfoldError(
      "log-unavailable",
      `${topic}-${partition} holds a transaction that has not ended, from offset ${from} on (of ${end}): what is behind it cannot be read. If that does not pass by itself see kafka-transactions.sh (find-hanging, describe-producers) for who wrote it.`,
      { remedy: "retry", details: { topic, partition, from, end } },
    );
  }
}

async function listOffsets(
  cluster: Cluster,
  partitions: readonly TopicPartition[],
  at: number,
  deadline: number,
  uncommitted = false,
): Promise<number[]> {
  const found = new Map<string, number>();
  const attempt = async (): Promise<void> => {
    const leaders = new Map<number, (TopicPartition & { at: number })[]>();
    for (const { topic, partition } of partitions) {
      if (found.has(`${topic}/${partition}`)) continue;
      const leader = await cluster.leader(topic, partition);
      leaders.set(leader, [...(leaders.get(leader) ?? []), { topic, partition, at }]);
    }
    await Promise.all(
      [...leaders].map(async ([leader, asked]) => {
        for (const { topic, partition, errorCode, offset } of await cluster.call(leader, "control", ListOffsets, {
          partitions: asked,
          uncommitted,
        })) {
          check(errorCode, `offsets of ${topic}-${partition}`);
          found.set(`${topic}/${partition}`, offset);
        }
      }),
    );
  };
  await retrying(attempt, {
    deadline,
    signal: cluster.signal,
    failed: () => {
      for (const { topic } of partitions) cluster.forgetTopic(topic);
    },
  });
  return partitions.map(({ topic, partition }) => found.get(`${topic}/${partition}`) ?? 0);
}

/** A transaction is open for milliseconds as a rule: longer pauses would meet the next one. */
const UNSTABLE_WAIT_MS = 40;

/** Offsets of a group; undefined where none was committed. Waits for open transactions that hold offsets of these partitions. */
export async function committedOffsets(
  cluster: Cluster,
  group: string,
  partitions: readonly TopicPartition[],
  deadline: number,
): Promise<(Position | undefined)[]> {
  if (partitions.length === 0) return [];
  const found = new Map<string, FetchedOffset>();
  const nameOf = ({ topic, partition }: TopicPartition): string => `${topic}/${partition}`;
  const missing = (): TopicPartition[] => partitions.filter((one) => !found.has(nameOf(one)));
  const read = ({ errorCode, offsets }: { errorCode: number; offsets: readonly FetchedOffset[] }): void => {
    check(errorCode, `OffsetFetch of ${group}`);
    for (const offset of offsets) if (offset.errorCode === CODE.none) found.set(nameOf(offset), offset);
    for (const offset of offsets) check(offset.errorCode, `OffsetFetch of ${group} for ${offset.topic}-${offset.partition}`);
  };
  const request = () => ({ group, partitions: missing() });
  await cluster.callCoordinator("group", group, "control", OffsetFetch, request, read, { deadline, longest: UNSTABLE_WAIT_MS });
  return partitions.map(({ topic, partition }) => {
    const offset = found.get(`${topic}/${partition}`);
    if (offset === undefined || offset.offset < 0) return undefined;
    return { topic, partition, offset: offset.offset, ...(offset.metadata ? { metadata: offset.metadata } : {}) };
  });
}

/** Commits offsets outside a transaction. A member that was left behind gets `fenced`. */
export async function commitOffsets(
  cluster: Cluster,
  group: string,
  member: Membership,
  offsets: readonly Position[],
  deadline: number,
): Promise<void> {
  if (offsets.length === 0) return;
  const read = (errors: readonly { topic: string; partition: number; errorCode: number }[]): void => {
    for (const { topic, partition, errorCode } of errors) check(errorCode, `OffsetCommit of ${group} for ${topic}-${partition}`);
  };
  await cluster.callCoordinator("group", group, "control", OffsetCommit, () => ({ group, member, offsets }), read, { deadline });
}

export async function deleteGroup(cluster: Cluster, group: string, deadline: number): Promise<void> {
  const read = (results: readonly { errorCode: number }[]): void => {
    const code = results[0]?.errorCode ?? CODE.none;
    if (code === CODE.nonEmptyGroup) {
      throw new KeyfoldError("not-ready", `The group "${group}" has members: stop every host of the application first.`, {
        details: { group },
      });
    }
    if (code !== CODE.groupNotFound) check(code, `DeleteGroups of ${group}`);
  };
  await cluster.callCoordinator("group", group, "control", DeleteGroups, () => ({ groups: [group] }), read, { deadline });
}
