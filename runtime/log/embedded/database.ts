import { existsSync } from "node:fs";
import { type Batch, RocksLevel } from "rocksdb";
import { KeyfoldError } from "../../errors.ts";
import type { Range } from "./keys.ts";

/** Bytes of memtables: four of a quarter each, two of them merged at a flush. */
const MEMTABLE_BYTES = 16 * 1024 * 1024;
/** Bytes of block cache. A log is read in order, each block once or by several readers at about the same time: the kernel's cache does. */
const CACHE_BYTES = 1024 * 1024;

/** A batch that has held more is not used again. */
const KEPT_BATCH_BYTES = 4 * 1024 * 1024;

/** Writes that become visible, and survive a crash, together or not at all. */
export interface WriteSet {
  put(key: Buffer, value: Buffer): void;
  delete(key: Buffer): void;
}

export interface ScanOptions {
  readonly reverse?: boolean;
  /** Stop after so many rows. */
  readonly rows?: number;
  /** Stop once this many bytes were read; the first row comes whatever its size. */
  readonly bytes?: number;
}

/** The one user of RocksDB in the log: a small synchronous face over the binding, with errors of ours. */
export class Database {
  readonly dir: string;
  #db: RocksLevel | undefined;
  /** One for all writes: each keeps the native memory of its largest write until V8 collects it, for which V8 sees no reason. */
  #batch: Batch | undefined;
  #closed = false;

  private constructor(dir: string) {
    this.dir = dir;
  }

  static async open(dir: string): Promise<Database> {
    const database = new Database(dir);
    await database.reopen();
    return database;
  }

  /** Opens again after an error that RocksDB answers by refusing all further writes (a full disk). */
  async reopen(): Promise<void> {
    await this.#release();
    const db = new RocksLevel(this.dir);
    try {
      await db.open({
        createIfMissing: true,
        walCompression: false,
        parallelism: 1,
        compression: false,
        compaction: "universal",
        memtableMemoryBudget: MEMTABLE_BYTES,
        cacheSize: CACHE_BYTES,
        blockSize: 16 * 1024,
      });
    } catch (thrown) {
      throw openError(thrown, this.dir);
    }
    this.#db = db;
  }

  /** Applies all writes of `fill` in one atomic step. They are in the kernel's hands when this returns, not yet on the disk. */
  write(fill: (writes: WriteSet) => void): void {
    const db = this.#live();
    this.#batch ??= db._chainedBatch();
    const batch = this.#batch;
    let bytes = 0;
    try {
      fill({
        put: (key, value) => {
          bytes += value.length;
          batch._put(key, value, {});
        },
        delete: (key) => batch._del(key, {}),
      });
      batch._writeSync({ sync: false });
    } catch (thrown) {
      throw databaseError(thrown, this.dir);
    } finally {
      if (bytes > KEPT_BATCH_BYTES) this.#closeBatch();
      else batch._clear();
    }
  }

  get(key: Buffer): Buffer | undefined {
    return this.#live()._getManySync([key], { valueEncoding: "buffer" })[0] as Buffer | undefined;
  }

  /** Keys and values in turn. `finished`: the range holds no more. */
  scan(range: Range, { reverse = false, rows = 1_000_000, bytes = 2 ** 31 - 1 }: ScanOptions = {}): { rows: Buffer[]; finished: boolean } {
    const db = this.#live();
    const iterator = db._iterator({
      ...range,
      reverse,
      highWaterMarkBytes: bytes,
      keyEncoding: "buffer",
      valueEncoding: "buffer",
    });
    try {
      return iterator._nextvSync(rows, {}) as { rows: Buffer[]; finished: boolean };
    } catch (thrown) {
      throw databaseError(thrown, this.dir);
    } finally {
      iterator._closeSync();
      db.detachResource(iterator);
    }
  }

  /** Drops a range of keys by one range tombstone: cheap whatever its size. */
  async clear(range: Range): Promise<void> {
    const db = this.#live();
    await new Promise<void>((resolve, reject) =>
      db._clear(range, (error) => (error === null || error === undefined ? resolve() : reject(databaseError(error, this.dir)))),
    );
  }

  /** Anything thrown by RocksDB or the file system below this log, as an error of ours. */
  error(thrown: unknown): KeyfoldError {
    return databaseError(thrown, this.dir);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#release();
  }

  async #release(): Promise<void> {
    this.#closeBatch();
    const db = this.#db;
    this.#db = undefined;
    // After a failed write Close() reports that error again, having let go of files and lock all the same. What was acknowledged is in the WAL.
    await db?.close().catch(() => undefined);
  }

  #closeBatch(): void {
    if (this.#batch === undefined) return;
    this.#batch._closeSync();
    this.#db?.detachResource(this.#batch);
    this.#batch = undefined;
  }

  #live(): RocksLevel {
    if (this.#db !== undefined) return this.#db;
    if (this.#closed) throw new KeyfoldError("log-closed", "The log is closed.", { remedy: "fatal" });
    throw new KeyfoldError("log-unavailable", `The log in ${this.dir} is being opened again after an error; try again shortly.`, {
      remedy: "retry",
    });
  }
}

/**
 * Throws `store-locked` where another process has the database open. Nothing is opened or changed: RocksDB takes its lock before it
 * refuses a database that is there already.
 */
export async function checkLock(dir: string): Promise<void> {
  if (!existsSync(dir)) return;
  const db = new RocksLevel(dir);
  const error = await db.open({ createIfMissing: false, errorIfExists: true }).then(
    () => db.close(),
    (thrown: unknown) => openError(thrown, dir),
  );
  if (error?.code === "store-locked") throw error;
}

/** The binding wraps what RocksDB said into "Database is not open" and the like. */
function messageOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  return thrown.cause instanceof Error ? thrown.cause.message : thrown.message;
}

function codeOf(thrown: unknown): unknown {
  return thrown instanceof Error && thrown.cause instanceof Error && "code" in thrown.cause ? thrown.cause.code : undefined;
}

function openError(thrown: unknown, dir: string): KeyfoldError {
  if (codeOf(thrown) === "LEVEL_LOCKED") {
    return new KeyfoldError(
      "store-locked",
      `The log in ${dir} is in use by another process. Stop that one first, or give this one a state.dir of its own.`,
      {
        remedy: "retry",
        cause: thrown,
        details: { dir },
      },
    );
  }
  return databaseError(thrown, dir);
}

/** What RocksDB threw, as an error of ours. */
export function databaseError(thrown: unknown, dir: string): KeyfoldError {
  if (thrown instanceof KeyfoldError) return thrown;
  const text = messageOf(thrown);
  if (/no space|disk quota|file too large/i.test(text)) {
    return diskFull(dir, text, thrown);
  }
  // A file that RocksDB says it has and the disk does not.
  if (/corruption|no such file or directory/i.test(text)) {
    return new KeyfoldError(
      "log-corrupt",
      `The log in ${dir} is damaged: ${text}. Restore the directory from a copy, or move it away to begin with an empty log.`,
      { remedy: "corrupt", cause: thrown, details: { dir } },
    );
  }
  return new KeyfoldError("log-unavailable", `The log in ${dir} cannot be used: ${text}.`, {
    remedy: "retry",
    cause: thrown,
    details: { dir },
  });
}

export function diskFull(dir: string, what: string, cause?: unknown): KeyfoldError {
  return new KeyfoldError(
    "disk-full",
    `The disk that holds the log in ${dir} is full (${what}). Nothing of this was written; make room and try again.`,
    {
      remedy: "retry",
      cause,
      details: { dir },
    },
  );
}
