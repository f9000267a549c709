import type { TopicSpec } from "../log.ts";
import { type Catalog, dropDeleted, liveTopic, offsetName } from "./catalog.ts";
import type { CommitQueue } from "./commit-queue.ts";
import type { Database } from "./database.ts";
import { deletedKey, offsetKey, topicKey } from "./keys.ts";
import { NEW_BOUNDS } from "./partition.ts";
import type { StoredTopic, Topic } from "./topics.ts";

/** Creates and deletes topics, on the disk and in the catalog. */
export class TopicAdmin {
  readonly #database: Database;
  readonly #queue: CommitQueue;
  readonly #catalog: Catalog;
  /** Topics being created, by name. */
  readonly #creating = new Map<string, Promise<void>>();
  /** Ids of deleted topics are not given out again while the process lives: their batches may still be on the way out. */
  #lastId: number;

  constructor(database: Database, queue: CommitQueue, catalog: Catalog) {
    this.#database = database;
    this.#queue = queue;
    this.#catalog = catalog;
    this.#lastId = Math.max(0, ...[...catalog.topics.values()].map(({ id }) => id));
  }

  /** Two that create it at once share one creation: two ids in one group commit would leave the other one on the disk than in memory. */
  create(spec: TopicSpec): Promise<void> {
    let creating = this.#creating.get(spec.name);
    if (creating === undefined) {
      creating = this.#create(spec).finally(() => this.#creating.delete(spec.name));
      this.#creating.set(spec.name, creating);
    }
    return creating;
  }

  async #create({ name, partitions, config = {} }: TopicSpec): Promise<void> {
    const stored: StoredTopic = { id: ++this.#lastId, partitions, config };
    await this.#queue.write(
      (writes) => writes.put(topicKey(name), Buffer.from(JSON.stringify(stored))),
      () => {
        const topic = liveTopic(name, stored, () => NEW_BOUNDS);
        this.#catalog.topics.set(name, topic);
      },
    );
  }

  /** First the topic goes, with its groups' offsets, in one write that also says what is left to drop; then its batches do. */
  async remove(topic: Topic): Promise<void> {
    const { id, partitions } = topic;
    const { name } = topic.description;
    const { topics, groups } = this.#catalog;
    topics.delete(name);
    // Nothing new can be written to it from here on, and its last commits are to be known before their offsets are deleted.
    try {
      await this.#queue.barrier();
      await this.#queue.write(
        (writes) => {
          writes.delete(topicKey(name));
          writes.put(deletedKey(id), Buffer.alloc(0));
          for (const [group, offsets] of groups) {
            for (const commit of offsets.values()) if (commit.topic === name) writes.delete(offsetKey(group, name, commit.partition));
          }
        },
        () => {
          for (const partition of partitions) {
            partition.deleted = true;
            for (const offsets of groups.values()) offsets.delete(offsetName(name, partition.partition));
          }
        },
      );
    } catch (thrown) {
      if (!topics.has(name)) topics.set(name, topic);
      throw thrown;
    }
    for (const { waiters } of partitions) waiters.wake();
    await dropDeleted(this.#database);
  }
}
