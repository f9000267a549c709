import { KeyfoldError } from "../../errors.ts";
import { batchEnd, lastOffset } from "../batch-header.ts";
import type { OffsetCommit } from "../log.ts";
import type { Database } from "./database.ts";
import { allDeleted, allOffsets, allTopics, batchesOf, batchKey, deletedId, deletedKey, partitionKey, partitionsOf } from "./keys.ts";
import { NEW_BOUNDS, Partition, type StoredBounds } from "./partition.ts";
import type { StoredTopic, Topic } from "./topics.ts";

/** Everything that is kept in memory of an open log: topics with their bounds, and the offsets of groups. */
export interface Catalog {
  readonly topics: Map<string, Topic>;
  /** By group, then by `topic NUL partition`. */
  readonly groups: Map<string, Map<string, OffsetCommit>>;
}

export function loadCatalog(database: Database): Catalog {
  const topics = new Map<string, Topic>();
  const { rows } = database.scan(allTopics());
  for (let i = 0; i < rows.length; i += 2) {
    const name = (rows[i] as Buffer).toString("utf8", 1);
    const stored = readRow<StoredTopic>(database, rows[i + 1] as Buffer, ["id", "partitions"], `topic "${name}"`);
    topics.set(
      name,
      liveTopic(name, stored, (partition) => loadBounds(database, name, stored.id, partition)),
    );
  }
  return { topics, groups: loadGroups(database) };
}

export function liveTopic(name: string, { id, partitions, config }: StoredTopic, bounds: (partition: number) => StoredBounds): Topic {
  return {
    id,
    description: { name, partitions, config },
    partitions: Array.from({ length: partitions }, (_, partition) => new Partition(name, id, partition, config, bounds(partition))),
  };
}

/** The end of a partition is where its last batch ends, or further where retention or compaction has taken that one. */
function loadBounds(database: Database, topic: string, topicId: number, partition: number): StoredBounds {
  const stored = database.get(partitionKey(topicId, partition));
  const bounds =
    stored === undefined ? NEW_BOUNDS : readRow<StoredBounds>(database, stored, ["start", "end"], `the bounds of ${topic}-${partition}`);
  const all = { gte: batchKey(topicId, partition, 0), lt: batchKey(topicId, partition + 1, 0) };
  const last = database.scan(all, { reverse: true, rows: 1 }).rows[1];
  if (last === undefined) return bounds;
  batchEnd(last, 0);
  return { ...bounds, end: Math.max(bounds.end, lastOffset(last, 0) + 1) };
}

function loadGroups(database: Database): Map<string, Map<string, OffsetCommit>> {
  const groups = new Map<string, Map<string, OffsetCommit>>();
  const { rows } = database.scan(allOffsets());
  for (let i = 0; i < rows.length; i += 2) {
    const [group = "", topic = "", partition = ""] = (rows[i] as Buffer).toString("utf8", 1).split("\0");
    const what = `the offset of group "${group}" in ${topic}-${partition}`;
    const { offset, metadata } = readRow<{ offset: number; metadata?: string }>(database, rows[i + 1] as Buffer, ["offset"], what);
    rememberOffset(groups, group, { topic, partition: Number(partition), offset, ...(metadata === undefined ? {} : { metadata }) });
  }
  return groups;
}

/** A row of JSON with, at least, these numbers in it. */
function readRow<Row extends object>(database: Database, bytes: Buffer, numbers: readonly (keyof Row)[], what: string): Row {
  let row: Row | null;
  try {
    row = JSON.parse(bytes.toString()) as Row | null;
    if (row !== null && numbers.every((name) => Number.isSafeInteger(row?.[name]))) return row;
  } catch (cause) {
    throw unreadable(database, what, cause);
  }
  throw unreadable(database, what);
}

function unreadable({ dir }: Database, what: string, cause?: unknown): KeyfoldError {
  return new KeyfoldError(
    "log-corrupt",
    `The log in ${dir} is damaged: the entry of ${what} cannot be read. Restore the directory from a copy, or move it away to begin with an empty log.`,
    { remedy: "corrupt", cause, details: { dir, entry: what } },
  );
}

export function rememberOffset(groups: Catalog["groups"], group: string, commit: OffsetCommit): void {
  const offsets = groups.get(group) ?? new Map<string, OffsetCommit>();
  groups.set(group, offsets);
  offsets.set(offsetName(commit.topic, commit.partition), commit);
}

export const offsetName = (topic: string, partition: number): string => `${topic}\0${partition}`;

/** Drops the batches of topics whose deletion a crash cut short, and of the one just deleted. */
export async function dropDeleted(database: Database): Promise<void> {
  const { rows } = database.scan(allDeleted());
  for (let i = 0; i < rows.length; i += 2) {
    const id = deletedId(rows[i] as Buffer);
    await database.clear(batchesOf(id));
    await database.clear(partitionsOf(id));
    database.write((writes) => writes.delete(deletedKey(id)));
  }
}
