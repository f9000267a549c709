import { KeyfoldError } from "../../errors.ts";
import type { Database } from "./database.ts";
import type { EmbeddedMetrics } from "./metrics.ts";
import type { Partition } from "./partition.ts";
import type { WalSync } from "./wal.ts";
import { fill, type Pending } from "./writer.ts";

/** Bytes of one RocksDB write: a write blocks the event loop while it lasts. */
const WRITE_BYTES = 4 * 1024 * 1024;

export interface CommitQueueOptions {
  readonly database: Database;
  readonly wal: WalSync;
  readonly flush: "os" | "commit";
  readonly clock: () => number;
  readonly metrics: EmbeddedMetrics;
  /** What was written is visible now: offsets in memory, for example. */
  onWritten(pending: Pending): void;
  /** A write failed: RocksDB may refuse every further one until it is opened anew. */
  recover(): Promise<void>;
}

/**
 * Group commit: what arrives in one turn of the event loop, or while the last write is being synced, shares one RocksDB
 * write. Records become visible to readers, and are acknowledged, after the write (`os`) or its sync (`commit`).
 */
export class CommitQueue {
  readonly #options: CommitQueueOptions;
  #queue: Pending[] = [];
  #running: Promise<void> | undefined;
  #broken = false;
  #dirty = false;

  constructor(options: CommitQueueOptions) {
    this.#options = options;
  }

  add(pending: Pending): void {
    this.#queue.push(pending);
    this.#running ??= this.#run();
  }

  /** Resolves when everything added so far was answered. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  /** Forces what was acknowledged under `os` to the disk. */
  async sync(): Promise<void> {
    if (!this.#dirty) return;
    this.#dirty = false;
    this.#options.metrics.syncs++;
    await this.#options.wal.sync();
  }

  async #run(): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve));
    while (this.#queue.length > 0) await this.#step();
    this.#running = undefined;
  }

  async #step(): Promise<void> {
    const group = this.#take();
    try {
      if (this.#broken) {
        await this.#options.recover();
        this.#broken = false;
      }
      const bases = this.#write(group);
      this.#dirty = true;
      if (this.#options.flush === "commit") await this.sync();
      this.#publish(group, bases);
    } catch (thrown) {
      this.#broken = true;
      for (const { partition } of group.flatMap(({ parts }) => parts)) partition.appended = partition.end;
      for (const pending of group) pending.reject(KeyfoldError.from(thrown, "log-unavailable", "retry"));
    }
  }

  #take(): Pending[] {
    let bytes = 0;
    let count = 0;
    while (count < this.#queue.length && (count === 0 || bytes < WRITE_BYTES)) bytes += (this.#queue[count++] as Pending).bytes;
    const rest = this.#queue.splice(count);
    const group = this.#queue;
    this.#queue = rest;
    return group;
  }

  #write(group: readonly Pending[]): number[][] {
    const { database, clock, metrics } = this.#options;
    const bases: number[][] = [];
    const now = clock();
    database.write((writes) => {
      for (const pending of group) bases.push(fill(writes, pending, now));
    });
    metrics.writes++;
    return bases;
  }

  #publish(group: readonly Pending[], bases: readonly number[][]): void {
    const touched = new Set<Partition>();
    for (const pending of group) {
      for (const { partition } of pending.parts) touched.add(partition);
      this.#options.onWritten(pending);
    }
    for (const partition of touched) {
      this.#options.metrics.recordsAppended += partition.appended - partition.end;
      partition.end = partition.appended;
    }
    group.forEach((pending, i) => pending.resolve(bases[i] ?? []));
    for (const partition of touched) partition.waiters.wake();
  }
}
