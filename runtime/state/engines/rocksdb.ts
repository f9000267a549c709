import { type Batch, type Column, RocksLevel } from "rocksdb";
import { IteratorRegistry } from "../iterators.ts";
import type { StateStore, StoreContext, StorePosition, StoreWrites } from "../store.ts";
import { engineError, storeClosed } from "../store-errors.ts";
import { RocksIterators } from "./rocksdb-iterators.ts";

const META = "meta";
const POSITION_KEY = Buffer.from("position");
/** A batch that has held more keeps that much memory for as long as it lives. */
const KEPT_BATCH_BYTES = 512 * 1024;

/**
 * The durable engine. Data lives in the column "default" (RocksDB's own statistics only cover that one), the position in
 * the column "meta", and both are written in one batch. The write-ahead log is on but not synced: it survives the death
 * of the process, and after the death of the machine the store is a consistent, older one that rolls forward.
 */
export class RocksEngine implements StateStore {
  readonly persistent = true;
  readonly #iterators: IteratorRegistry;
  readonly #now: () => number;
  #db: RocksLevel | undefined;
  /**
   * One for all writes but large ones: each holds native memory as large as its largest write until it is garbage collected, which
   * V8 sees no reason for. That of a large write is young when it is let go of, and so goes with the next collection of the young.
   */
  #batch: Batch | undefined;
  #ranges: RocksIterators | undefined;
  #meta: { readonly column: Column } | undefined;
  #context: StoreContext | undefined;
  #position: StorePosition | undefined;

  constructor({ iterators = new IteratorRegistry(), now = Date.now }: { iterators?: IteratorRegistry; now?: () => number } = {}) {
    this.#iterators = iterators;
    this.#now = now;
  }

  async open(context: StoreContext): Promise<void> {
    this.#context = context;
    const db = new RocksLevel(context.dir);
    try {
      await db.open({
        createIfMissing: true,
        walCompression: false,
        parallelism: 1,
        columns: {
          default: {
            compression: false,
            compaction: "universal",
            // A write buffer is a quarter of this, and RocksDB holds two or three of them when it is busy.
            memtableMemoryBudget: Math.max(1024 * 1024, Math.floor(context.memoryBytes / 3)),
            cacheSize: Math.max(256 * 1024, Math.floor(context.memoryBytes / 32)),
            optimize: "point-lookup",
            // Values are small and looked up by key: half the default costs a fifth less per miss.
            blockSize: 2048,
          },
          // One key of a few bytes.
          [META]: { compression: false, compaction: "level", memtableMemoryBudget: 1024 * 1024, cacheSize: 64 * 1024 },
        },
      });
    } catch (thrown) {
      await db.close().catch(() => undefined);
      throw engineError(thrown, context, context.dir, "opening");
    }
    this.#db = db;
    this.#batch = db._chainedBatch();
    this.#ranges = new RocksIterators(db, context, this.#iterators, this.#now, (thrown) => this.#error(thrown, "reading"));
    this.#meta = { column: db.columns[META] as Column };
    this.#position = readPosition(db._getManySync([POSITION_KEY], this.#meta)[0]);
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.getMany([key])[0];
  }

  getMany(keys: readonly Uint8Array[]): (Uint8Array | undefined)[] {
    const db = this.#mustBeOpen();
    // An empty Buffer has no address, and RocksDB stops the process over a key without one.
    const empty = keys.findIndex((key) => key.length === 0);
    if (empty >= 0) return [...this.getMany(keys.slice(0, empty)), this.#getEmptyKey(), ...this.getMany(keys.slice(empty + 1))];
    try {
      return db._getManySync(keys);
    } catch (thrown) {
      throw this.#error(thrown, "reading");
    }
  }

  #getEmptyKey(): Uint8Array | undefined {
    const rows = this.range(undefined, undefined);
    const first = rows.next();
    rows.return?.();
    return first.done !== true && first.value[0].length === 0 ? first.value[1] : undefined;
  }

  range(from: Uint8Array | undefined, to: Uint8Array | undefined, reverse = false): IterableIterator<readonly [Uint8Array, Uint8Array]> {
    this.#mustBeOpen();
    try {
      return (this.#ranges as RocksIterators).range(from, to, reverse);
    } catch (thrown) {
      throw this.#error(thrown, "reading");
    }
  }

  write(writes: StoreWrites, position: StorePosition | undefined): void {
    const db = this.#mustBeOpen();
    this.#ranges?.changed();
    const large = (writes.bytes ?? bytesOf(writes)) > KEPT_BATCH_BYTES;
    const batch = large ? db._chainedBatch() : (this.#batch as Batch);
    try {
      for (const { key, value } of writes) {
        if (value === undefined) batch._del(key);
        else batch._put(key, value);
      }
      if (position !== undefined) batch._put(POSITION_KEY, JSON.stringify(position), this.#meta);
      batch._writeSync();
      if (position !== undefined) this.#position = position;
    } catch (thrown) {
      throw this.#error(thrown, "writing");
    } finally {
      batch._clear();
      if (large) {
        batch._closeSync();
        db.detachResource(batch);
      }
    }
  }

  dropRange(from: Uint8Array, to: Uint8Array): void {
    const db = this.#mustBeOpen();
    if (Buffer.compare(from, to) >= 0) return;
    this.#ranges?.changed();
    let failure: unknown;
    // The binding deletes at once, but tells of an error by callback only; it makes the call before it returns.
    db._clear({ gte: from, lt: to }, (error) => {
      failure = error;
    });
    if (failure instanceof Error) throw this.#error(failure, "writing");
  }

  position(): StorePosition | undefined {
    return this.#position;
  }

  /** RocksDB's estimate: overwritten and deleted entries count until they are compacted away. */
  approximateEntries(): number {
    return Number(this.#mustBeOpen().getProperty("rocksdb.estimate-num-keys"));
  }

  async close(): Promise<void> {
    const db = this.#db;
    if (db === undefined) return;
    this.#db = undefined;
    this.#batch?._closeSync();
    this.#batch = undefined;
    this.#ranges?.close();
    this.#ranges = undefined;
    // An error (a full disk, a directory that is gone) changes nothing: what was written is in the write-ahead log, and the
    // binding lets go of the database all the same.
    await db.close().catch(() => undefined);
  }

  #mustBeOpen(): RocksLevel {
    if (this.#db === undefined) throw storeClosed(this.#context);
    return this.#db;
  }

  #error(thrown: unknown, doing: string): Error {
    const context = this.#context as StoreContext;
    return engineError(thrown, context, context.dir, doing);
  }
}

function bytesOf(writes: StoreWrites): number {
  let bytes = 0;
  for (const { value } of writes) if (value !== undefined) bytes += value.length;
  return bytes;
}

function readPosition(bytes: Uint8Array | undefined): StorePosition | undefined {
  return bytes === undefined ? undefined : (JSON.parse(Buffer.from(bytes).toString()) as StorePosition);
}
