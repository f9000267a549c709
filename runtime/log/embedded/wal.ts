import { type FileHandle, open, readdir } from "node:fs/promises";
import { join } from "node:path";

/**
 * Forces RocksDB's write-ahead log to the disk from the thread pool, so that the event loop never waits for a disk. What
 * was written before a sync() began is in one of the WAL files that are there, or in a table that RocksDB has synced
 * before it deleted the file.
 */
export class WalSync {
  readonly #dir: string;
  /** Files that may hold something unsynced. */
  readonly #open = new Map<string, FileHandle>();
  /** Of these, the ones that were no longer written to when last looked at: after one more sync they are done. */
  readonly #final = new Set<string>();
  #done = new Set<string>();

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** Not to be called again before it is done. */
  async sync(): Promise<void> {
    const final = [...this.#final];
    const [names] = await Promise.all([readdir(this.#dir), ...[...this.#open.values()].map((handle) => handle.datasync())]);
    for (const name of final) await this.#finish(name);
    const files = names.filter((name) => name.endsWith(".log")).sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10));
    this.#done = new Set(files.filter((name) => this.#done.has(name)));
    for (const name of this.#open.keys()) if (name !== files.at(-1)) this.#final.add(name);
    const fresh = files.filter((name) => !this.#open.has(name) && !this.#done.has(name));
    if (fresh.length > 0) await this.#begin(fresh);
  }

  async close(): Promise<void> {
    for (const handle of this.#open.values()) await handle.close();
    this.#open.clear();
    this.#final.clear();
  }

  async #begin(fresh: readonly string[]): Promise<void> {
    for (const name of fresh) {
      const handle = await openIfThere(join(this.#dir, name));
      if (handle === undefined) continue;
      this.#open.set(name, handle);
      await handle.datasync();
    }
    await syncDirectory(this.#dir);
  }

  async #finish(name: string): Promise<void> {
    await this.#open.get(name)?.close();
    this.#open.delete(name);
    this.#final.delete(name);
    this.#done.add(name);
  }
}

async function openIfThere(file: string): Promise<FileHandle | undefined> {
  try {
    return await open(file, "r+");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Makes the names of new files durable; where directories cannot be synced (Windows), the file system sees to it. */
async function syncDirectory(dir: string): Promise<void> {
  if (process.platform === "win32") return;
  const handle = await open(dir, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
