import { join } from "node:path";
import { KeyfoldError } from "../../errors.ts";
import type { CommitRequest, Fetched, FetchRequest, Log, OffsetCommit, OffsetRange, OutBatch, TopicDescription, TopicPartition, TopicSpec } from "../log.ts";
import { lastOffset } from "../batch-header.ts";
import { type Catalog, dropDeleted, liveTopic, loadCatalog, offsetName, rememberOffset } from "./catalog.ts";
import { CommitQueue } from "./commit-queue.ts";
import { Database } from "./database.ts";
import { checkFormat } from "./format.ts";
import { deletedKey, offsetKey, partitionKey, topicKey } from "./keys.ts";
import { type EmbeddedMetrics, noMetrics } from "./metrics.ts";
import type { Partition } from "./partition.ts";
import { checkAgrees, checkSpec, type StoredTopic, type Topic } from "./topics.ts";
import { WalSync } from "./wal.ts";
import { checkBatches, type Part, Producers } from "./writer.ts";

export interface EmbeddedLogOptions {
  /** Directory of the log alone; created when it is not there. */
  readonly dir: string;
  /**
   * When a write is acknowledged. `os`: once the kernel has it, which survives the death of the process; forced to the disk
   * within about a second. `commit`: once the disk has it.
   */
  readonly flush: "os" | "commit";
  /** Epoch ms; for timestamps of records without one, and for retention. Default `Date.now`. */
  readonly clock?: () => number;
  /** Pause between two syncs under `os`, ms. Default 1 000. */
  readonly syncIntervalMs?: number;
}

export interface EmbeddedExtras {
  readonly kind: "embedded";
  metrics(): Readonly<EmbeddedMetrics>;
  /** Supersedes every earlier holder of the name; the token goes into `CommitRequest.producer`. */
  registerProducer(producer: string): string;
}

/** Opens the in-process log: durable, on RocksDB, no broker to install. One process, one thread owns a directory. */
export async function openEmbeddedLog(options: EmbeddedLogOptions): Promise<Log & EmbeddedExtras> {
  await checkFormat(options.dir);
  const dir = join(options.dir, "rocksdb");
  const database = await Database.open(dir);
  try {
    await dropDeleted(database);
    return new EmbeddedLog(options, dir, database, loadCatalog(database));
  } catch (thrown) {
    await database.close();
    throw thrown;
  }
}

class EmbeddedLog implements Log, EmbeddedExtras {
  readonly kind = "embedded";
  readonly #database: Database;
  readonly #queue: CommitQueue;
  readonly #metrics = noMetrics();
  readonly #producers = new Producers();
  readonly #syncTimer: NodeJS.Timeout;
  #catalog: Catalog;
  /** Ids of deleted topics are not given out again while the process lives: their batches may still be on the way out. */
  #lastId: number;
  #closed: Promise<void> | undefined;

  constructor({ flush, clock = Date.now, syncIntervalMs = 1000 }: EmbeddedLogOptions, dir: string, database: Database, catalog: Catalog) {
    this.#database = database;
    this.#catalog = catalog;
    this.#lastId = Math.max(0, ...[...catalog.topics.values()].map(({ id }) => id));
    this.#queue = new CommitQueue({
      database,
      wal: new WalSync(dir),
      flush,
      clock,
      metrics: this.#metrics,
      onWritten: ({ group, offsets }) => {
        for (const offset of offsets) rememberOffset(this.#catalog.groups, group, offset);
      },
      recover: () => this.#recover(),
    });
    this.#syncTimer = setInterval(() => void this.#queue.sync().catch(() => undefined), syncIntervalMs).unref();
  }

  async ensureTopic(spec: TopicSpec): Promise<TopicDescription> {
    this.#check();
    const existing = this.#catalog.topics.get(spec.name);
    if (existing !== undefined) {
      checkAgrees(existing.description, spec);
      return existing.description;
    }
    checkSpec(spec);
    const stored: StoredTopic = { id: ++this.#lastId, partitions: spec.partitions, config: spec.config ?? {} };
    this.#database.write((writes) => writes.put(topicKey(spec.name), Buffer.from(JSON.stringify(stored))));
    const topic = liveTopic(spec.name, stored, () => ({ start: 0, end: 0, cleanedTo: 0 }));
    this.#catalog.topics.set(spec.name, topic);
    return topic.description;
  }

  async describe(topic: string): Promise<TopicDescription | undefined> {
    this.#check();
    return this.#catalog.topics.get(topic)?.description;
  }

  async topics(): Promise<TopicDescription[]> {
    this.#check();
    return [...this.#catalog.topics.values()].map(({ description }) => description);
  }

  async deleteTopic(name: string): Promise<void> {
    this.#check();
    const topic = this.#topic(name);
    this.#catalog.topics.delete(name);
    await this.#queue.idle();
    const { id, partitions } = topic;
    this.#database.write((writes) => {
      writes.delete(topicKey(name));
      writes.put(deletedKey(id), Buffer.alloc(0));
      for (const { partition } of partitions) {
        writes.delete(partitionKey(id, partition));
        for (const [group, offsets] of this.#catalog.groups) {
          if (offsets.delete(offsetName(name, partition))) writes.delete(offsetKey(group, name, partition));
        }
      }
    });
    for (const partition of partitions) partition.waiters.wake();
    await dropDeleted(this.#database);
  }

  async offsets(partitions: readonly TopicPartition[]): Promise<OffsetRange[]> {
    this.#check();
    return partitions.map((partition) => this.#partition(partition).range);
  }

  async fetch(request: FetchRequest): Promise<Fetched> {
    const { position, maxBytes, maxWaitMs, signal } = request;
    this.#check();
    let partition = this.#partition(request);
    partition.check(position);
    if (position === partition.end && maxWaitMs > 0) {
      await partition.waiters.wait(maxWaitMs, signal);
      this.#check();
      partition = this.#partition(request);
      partition.check(position);
    }
    this.#metrics.fetches++;
    if (position === partition.end) return { data: new Uint8Array(0), next: position, end: partition.end };
    return this.#read(partition, position, maxBytes);
  }

  #read(partition: Partition, position: number, maxBytes: number): Fetched {
    const { end } = partition;
    const { rows, finished } = this.#database.scan(partition.keys(position, end), { bytes: Math.max(0, Math.min(maxBytes, 2 ** 31 - 1)) });
    let bytes = 0;
    for (let i = 1; i < rows.length; i += 2) bytes += (rows[i] as Buffer).length;
    const data = Buffer.allocUnsafeSlow(bytes);
    let at = 0;
    for (let i = 1; i < rows.length; i += 2) at += (rows[i] as Buffer).copy(data, at);
    this.#metrics.bytesFetched += bytes;
    const last = rows.at(-1);
    return { data, next: finished || last === undefined ? end : lastOffset(last, 0) + 1, end };
  }

  async append(batches: readonly OutBatch[]): Promise<number[]> {
    return this.#write("", [], batches);
  }

  async commit({ group, producer, offsets, batches }: CommitRequest): Promise<number[]> {
    this.#check();
    this.#producers.check(producer);
    this.#metrics.commits++;
    for (const offset of offsets) this.#partition(offset);
    return this.#write(group, offsets, batches);
  }

  async committed(group: string, partitions: readonly TopicPartition[]): Promise<(OffsetCommit | undefined)[]> {
    this.#check();
    const offsets = this.#catalog.groups.get(group);
    return partitions.map(({ topic, partition }) => offsets?.get(offsetName(topic, partition)));
  }

  async deleteGroup(group: string): Promise<void> {
    this.#check();
    await this.#queue.idle();
    const offsets = this.#catalog.groups.get(group);
    if (offsets === undefined) return;
    this.#database.write((writes) => {
      for (const { topic, partition } of offsets.values()) writes.delete(offsetKey(group, topic, partition));
    });
    this.#catalog.groups.delete(group);
  }

  metrics(): Readonly<EmbeddedMetrics> {
    return { ...this.#metrics };
  }

  registerProducer(producer: string): string {
    return this.#producers.register(producer);
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    clearInterval(this.#syncTimer);
    for (const { partitions } of this.#catalog.topics.values()) for (const { waiters } of partitions) waiters.wake();
    await this.#queue.idle();
    await this.#queue.sync();
    await this.#database.close();
  }

  #write(group: string, offsets: readonly OffsetCommit[], batches: readonly OutBatch[]): Promise<number[]> {
    return new Promise((resolve, reject) => {
      this.#check();
      const parts: Part[] = batches.map((batch) => ({ partition: this.#partition(batch), data: checkBatches(batch.data, batch.count) }));
      const bytes = parts.reduce((sum, { data }) => sum + data.length, 0);
      this.#metrics.bytesAppended += bytes;
      this.#queue.add({ parts, group, offsets, bytes, resolve, reject });
    });
  }

  /** After a failed write: opens the database anew, and takes over what is really in it. */
  async #recover(): Promise<void> {
    await this.#database.reopen();
    const fresh = loadCatalog(this.#database);
    for (const [name, { partitions }] of fresh.topics) {
      partitions.forEach(({ start, end }, i) => {
        const partition = this.#catalog.topics.get(name)?.partitions[i];
        if (partition !== undefined) Object.assign(partition, { start, end, appended: end });
      });
    }
    this.#catalog = { topics: this.#catalog.topics, groups: fresh.groups };
  }

  #topic(name: string): Topic {
    const topic = this.#catalog.topics.get(name);
    if (topic === undefined) throw new KeyfoldError("topic-unknown", `There is no topic "${name}".`, { details: { topic: name } });
    return topic;
  }

  #partition({ topic: name, partition }: TopicPartition): Partition {
    const { partitions } = this.#topic(name);
    const found = partitions[partition];
    if (found !== undefined) return found;
    throw new KeyfoldError("partition-unknown", `Topic "${name}" has ${partitions.length} partitions, 0 to ${partitions.length - 1}; there is no partition ${partition}.`, { details: { topic: name, partition } });
  }

  #check(): void {
    if (this.#closed !== undefined) throw new KeyfoldError("log-closed", "The log is closed.", { remedy: "fatal" });
  }
}
