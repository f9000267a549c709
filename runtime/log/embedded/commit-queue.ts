import type { Database, WriteSet } from "./database.ts";
import type { EmbeddedMetrics } from "./metrics.ts";
import type { WalSync } from "./wal.ts";

/** Bytes of one RocksDB write: a write blocks the event loop while it lasts. */
const WRITE_BYTES = 4 * 1024 * 1024;

/** Something that takes part in a group commit, whole or not at all. */
export interface GroupWrite {
  readonly bytes: number;
  /** Adds its writes. Called right before the write, in the order of add(). Must not throw. */
  fill(writes: WriteSet, now: number): void;
  /** Written, and on the disk if that was asked for. */
  done(): void;
  failed(error: unknown): void;
}

export interface CommitQueueOptions {
  readonly database: Database;
  readonly wal: WalSync;
  readonly flush: "os" | "commit";
  readonly clock: () => number;
  readonly metrics: EmbeddedMetrics;
  /** After a failed write: brings database and memory back in step, or throws. */
  recover(): Promise<void>;
}

/**
 * Group commit: what arrives in one turn of the event loop, or while the last write is being synced, shares one RocksDB
 * write. It is done after the write (`os`) or the write's sync (`commit`).
 */
export class CommitQueue {
  readonly #options: CommitQueueOptions;
  #queue: GroupWrite[] = [];
  #running: Promise<void> | undefined;
  #syncing: Promise<void> | undefined;
  #broken = false;
  #dirty = false;

  constructor(options: CommitQueueOptions) {
    this.#options = options;
  }

  add(write: GroupWrite): void {
    this.#queue.push(write);
    this.#running ??= this.#run();
  }

  /** Resolves once the writes of `fill` are done. `written` runs with it, before anything else can happen. */
  write(fill: (writes: WriteSet) => void, written: () => void = () => undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (): void => {
        written();
        resolve();
      };
      this.add({ bytes: 0, fill, done, failed: reject });
    });
  }

  /** Resolves when everything added before was answered, though more may come all the time. */
  barrier(): Promise<void> {
    return this.write(() => undefined);
  }

  /** Resolves when nothing is left to write: for a log that takes nothing new. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  /** Forces what was written so far to the disk. */
  async sync(): Promise<void> {
    while (this.#syncing !== undefined) await this.#syncing;
    if (!this.#dirty) return;
    this.#dirty = false;
    this.#options.metrics.syncs++;
    this.#syncing = this.#options.wal.sync().finally(() => {
      this.#syncing = undefined;
    });
    try {
      await this.#syncing;
    } catch (thrown) {
      // The kernel reports a failed sync once and may have dropped the pages: opening again makes RocksDB write tables of its WAL.
      this.#broken = true;
      throw thrown;
    }
  }

  async #run(): Promise<void> {
    while (this.#queue.length > 0) {
      // A whole turn, every time: whoever appends again as soon as it is answered must not keep timers and sockets waiting.
      await new Promise<void>((resolve) => setImmediate(resolve));
      await this.#step();
    }
    this.#running = undefined;
  }

  async #step(): Promise<void> {
    const group = this.#take();
    try {
      if (this.#broken) {
        await this.#syncing?.catch(() => undefined);
        await this.#options.recover();
        this.#broken = false;
      }
      const now = this.#options.clock();
      this.#options.database.write((writes) => {
        for (const write of group) write.fill(writes, now);
      });
      this.#options.metrics.writes++;
      this.#dirty = true;
      if (this.#options.flush === "commit") await this.sync();
    } catch (thrown) {
      this.#broken = true;
      const error = this.#options.database.error(thrown);
      for (const write of group) write.failed(error);
      return;
    }
    for (const write of group) write.done();
  }

  /** The next group: at least one write, and no more than about WRITE_BYTES. */
  #take(): GroupWrite[] {
    let bytes = 0;
    let count = 0;
    while (count < this.#queue.length && (count === 0 || bytes < WRITE_BYTES)) bytes += (this.#queue[count++] as GroupWrite).bytes;
    const rest = this.#queue.splice(count);
    const group = this.#queue;
    this.#queue = rest;
    return group;
  }
}
