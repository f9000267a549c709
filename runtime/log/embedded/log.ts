import { mkdir, statfs } from "node:fs/promises";
import { join } from "node:path";
import { KeyfoldError } from "../../errors.ts";
import type {
  CommitRequest,
  Fetched,
  FetchRequest,
  Log,
  OffsetCommit,
  OffsetRange,
  OutBatch,
  TopicDescription,
  TopicPartition,
  TopicSpec,
} from "../log.ts";
import { AppendWrite, checkBatches } from "./append.ts";
import { type Catalog, dropDeleted, loadCatalog, offsetName, rememberOffset } from "./catalog.ts";
import { Cleaner } from "./cleaner.ts";
import { CommitQueue } from "./commit-queue.ts";
import { checkLock, Database, databaseError, diskFull } from "./database.ts";
import { checkFiles, checkFormat, writeFormat } from "./format.ts";
import { offsetKey } from "./keys.ts";
import { type EmbeddedMetrics, noMetrics } from "./metrics.ts";
import { NEW_BOUNDS, type Partition } from "./partition.ts";
import { Producers } from "./producers.ts";
import { readBatches } from "./read.ts";
import { TopicAdmin } from "./topic-admin.ts";
import { checkAgrees, checkSpec, type Topic } from "./topics.ts";
import { WalSync } from "./wal.ts";
import { checkWal, type Hole } from "./wal-check.ts";

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
  /** Pause between two rounds of retention and compaction, ms. Default 30 000. */
  readonly cleanIntervalMs?: number;
  /** Keys that compaction learns in one pass, at some 40 bytes each; where more have changed it makes several. Default 1 000 000. */
  readonly compactionKeys?: number;
  /** Told of what was cut from the log because a power cut had left a hole in it. */
  readonly onNotice?: (message: string) => void;
}

export interface EmbeddedExtras {
  readonly kind: "embedded";
  metrics(): Readonly<EmbeddedMetrics>;
  /** Supersedes every earlier holder of the name; the token goes into `CommitRequest.producer`. */
  registerProducer(producer: string): string;
  /** One round of retention and compaction over every partition, now, however little there is to gain. */
  cleanNow(): Promise<void>;
  /** Deletes the records of a partition below an offset; its start moves there. */
  deleteRecords(partition: TopicPartition, before: number): Promise<void>;
}

/** Opens the in-process log: durable, on RocksDB, no broker to install. One process, one thread owns a directory. */
export async function openEmbeddedLog(options: EmbeddedLogOptions): Promise<Log & EmbeddedExtras> {
  const dir = join(options.dir, "rocksdb");
  const opened = await checkDirectory(options, dir);
  const database = await Database.open(dir);
  try {
    if (!opened) await writeFormat(options.dir);
    await dropDeleted(database);
    return new EmbeddedLog(options, dir, database, loadCatalog(database));
  } catch (thrown) {
    await database.close();
    throw thrown;
  }
}

/**
 * What RocksDB would pass over in silence is found before it opens. Nobody has its lock yet: what another process writes or deletes
 * meanwhile looks like damage. It is damage when it is found twice, with nobody there either time. Resolves to whether the log has been
 * opened before.
 */
async function checkDirectory(options: EmbeddedLogOptions, dir: string): Promise<boolean> {
  for (let again = false; ; again = true) {
    const { opened, hole, error } = await inspect(options, dir);
    if (hole === undefined && error === undefined) return opened;
    await checkLock(dir);
    if (!again) continue;
    if (error !== undefined) throw error;
    await hole?.cut();
    options.onNotice?.(hole?.notice ?? "");
    return opened;
  }
}

async function inspect(
  options: EmbeddedLogOptions,
  dir: string,
): Promise<{ readonly opened: boolean; readonly hole?: Hole | undefined; readonly error?: KeyfoldError }> {
  try {
    await mkdir(options.dir, { recursive: true });
    const opened = await checkFormat(options.dir);
    return { opened, hole: (await checkFiles(dir, opened)) ? await checkWal({ dir, flush: options.flush }) : undefined };
  } catch (thrown) {
    return { opened: false, error: databaseError(thrown, options.dir) };
  }
}

/** Below this much free space a log that failed for want of space is not opened again, and goes on serving reads. */
const ROOM_BYTES = 4 * 1024 * 1024;

class EmbeddedLog implements Log, EmbeddedExtras {
  readonly kind = "embedded";
  readonly #dir: string;
  readonly #database: Database;
  readonly #catalog: Catalog;
  readonly #wal: WalSync;
  readonly #queue: CommitQueue;
  readonly #admin: TopicAdmin;
  readonly #cleaner: Cleaner;
  readonly #metrics = noMetrics();
  readonly #producers = new Producers();
  readonly #syncTimer: NodeJS.Timeout;
  #closed: Promise<void> | undefined;

  constructor(options: EmbeddedLogOptions, dir: string, database: Database, catalog: Catalog) {
    const { flush, clock = Date.now, syncIntervalMs = 1000, cleanIntervalMs = 30_000, compactionKeys = 1_000_000 } = options;
    const metrics = this.#metrics;
    this.#dir = dir;
    this.#database = database;
    this.#catalog = catalog;
    this.#wal = new WalSync(dir);
    this.#queue = new CommitQueue({ database, wal: this.#wal, flush, clock, metrics, recover: () => this.#recover() });
    this.#admin = new TopicAdmin(database, this.#queue, catalog);
    this.#cleaner = new Cleaner({
      database,
      queue: this.#queue,
      clock,
      metrics,
      compactionKeys,
      intervalMs: cleanIntervalMs,
      partitions: () => this.#partitions(),
    });
    this.#syncTimer = setInterval(() => void this.#queue.sync().catch(() => undefined), syncIntervalMs).unref();
  }

  async ensureTopic(spec: TopicSpec): Promise<TopicDescription> {
    this.#check();
    checkSpec(spec);
    const existing = this.#catalog.topics.get(spec.name);
    if (existing !== undefined) {
      checkAgrees(existing.description, spec);
      return existing.description;
    }
    await this.#admin.create(spec);
    return this.ensureTopic(spec);
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
    await this.#admin.remove(this.#topic(name));
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
    const fetched = readBatches(this.#database, partition, position, maxBytes);
    this.#metrics.bytesFetched += fetched.data.length;
    return fetched;
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
    await this.#queue.barrier();
    await this.#queue.write(
      (writes) => {
        for (const { topic, partition } of this.#catalog.groups.get(group)?.values() ?? [])
          writes.delete(offsetKey(group, topic, partition));
      },
      () => this.#catalog.groups.delete(group),
    );
  }

  metrics(): Readonly<EmbeddedMetrics> {
    return { ...this.#metrics };
  }

  registerProducer(producer: string): string {
    return this.#producers.register(producer);
  }

  cleanNow(): Promise<void> {
    this.#check();
    return this.#cleaner.clean(true);
  }

  deleteRecords(partition: TopicPartition, before: number): Promise<void> {
    this.#check();
    return this.#cleaner.deleteRecords(this.#partition(partition), before);
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    clearInterval(this.#syncTimer);
    for (const { waiters } of this.#partitions()) waiters.wake();
    await this.#cleaner.stop();
    await this.#queue.idle();
    try {
      await this.#queue.sync();
    } finally {
      await this.#wal.close();
      await this.#database.close();
    }
  }

  #write(group: string, offsets: readonly OffsetCommit[], batches: readonly OutBatch[]): Promise<number[]> {
    return new Promise((resolve, reject) => {
      this.#check();
      const parts = batches.map((batch) => ({ partition: this.#partition(batch), data: checkBatches(batch.data, batch.count) }));
      const committed = (): void => {
        for (const offset of offsets) rememberOffset(this.#catalog.groups, group, offset);
        for (const { count } of batches) this.#metrics.recordsAppended += count;
        this.#metrics.bytesAppended += write.bytes;
      };
      const write = new AppendWrite(parts, group, offsets, { resolve, reject, committed });
      this.#queue.add(write);
    });
  }

  /** After a failed write RocksDB refuses all others: opens it anew, and takes over what is really in it. */
  async #recover(): Promise<void> {
    const { bavail, bsize } = await statfs(this.#dir);
    if (bavail * bsize < ROOM_BYTES) throw diskFull(this.#dir, `${bavail * bsize} bytes are free`);
    await this.#wal.close();
    await this.#database.reopen();
    const fresh = loadCatalog(this.#database);
    for (const [name, { partitions }] of this.#catalog.topics) {
      for (const partition of partitions) partition.reload(fresh.topics.get(name)?.partitions[partition.partition]?.stored ?? NEW_BOUNDS);
    }
    this.#catalog.groups.clear();
    for (const [group, offsets] of fresh.groups) this.#catalog.groups.set(group, offsets);
  }

  *#partitions(): Generator<Partition> {
    for (const { partitions } of this.#catalog.topics.values()) yield* partitions;
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
    throw new KeyfoldError(
      "partition-unknown",
      `Topic "${name}" has ${partitions.length} partitions, 0 to ${partitions.length - 1}; there is no partition ${partition}.`,
      { details: { topic: name, partition } },
    );
  }

  #check(): void {
    if (this.#closed !== undefined) throw new KeyfoldError("log-closed", "The log is closed.", { remedy: "fatal" });
  }
}
