import { open, readdir } from "node:fs/promises";
import { join } from "node:path";

/**
 * Forces RocksDB's write-ahead log to the disk from the thread pool, so that the event loop never waits for a disk. It
 * is enough to sync every WAL file there is: one that is gone was dropped because its records are in synced tables. A
 * new file's name needs its directory synced, once.
 */
export class WalSync {
  readonly #dir: string;
  #known = new Set<string>();
  /** Files that can no longer change: all but the newest, once synced. */
  #done = new Set<string>();

  constructor(dir: string) {
    this.#dir = dir;
  }

  async sync(): Promise<void> {
    const files = (await readdir(this.#dir)).filter((name) => name.endsWith(".log")).sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10));
    const newest = files.at(-1);
    const open = files.filter((name) => !this.#done.has(name));
    await Promise.all(open.map((name) => this.#syncFile(name)));
    if (open.some((name) => !this.#known.has(name))) await this.#syncFile(".");
    this.#known = new Set(files);
    this.#done = new Set(files.filter((name) => name !== newest));
  }

  async #syncFile(name: string): Promise<void> {
    try {
      const handle = await open(join(this.#dir, name), "r");
      try {
        await handle.datasync();
      } finally {
        await handle.close();
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
  }
}
