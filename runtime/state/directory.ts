import { readdir, rm, rmdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { KeyfoldError } from "../errors.ts";
import { lockHolder, releaseLockOfThread, TaskLock } from "./task-lock.ts";

/** Name of a task's directory: `<subtopology>_<partition>`. */
const TASK = /^\d+_\d+$/;

export interface LockOptions {
  /** How long to wait for a lock that is held, ms. Default 0: one try. */
  readonly waitMs?: number;
  readonly signal?: AbortSignal;
}

export interface CleanOptions {
  /** `state.cleanup.delay.ms`: how long a directory must have lain untouched. */
  readonly delayMs: number;
  /** Wall clock, epoch ms. */
  readonly now: () => number;
  /** Tasks whose directories stay, whoever uses them. */
  readonly keep?: (task: string) => boolean;
}

/**
 * The state of one application on this machine: `<state.dir>/<application.id>/<task>/`, with in each task's directory its
 * `.lock`, its `.checkpoint` and `rocksdb/<store>/`.
 */
export class StateDirectory {
  readonly path: string;

  constructor(stateDir: string, applicationId: string) {
    this.path = join(stateDir, applicationId);
  }

  taskDirectory(task: string): string {
    return join(this.path, task);
  }

  /** Takes the task's lock, waiting for it with growing pauses. Throws `store-locked` naming the holder when it stays held. */
  async lock(task: string, { waitMs = 0, signal }: LockOptions = {}): Promise<TaskLock> {
    const dir = this.taskDirectory(task);
    const start = performance.now();
    for (let pause = 20; ; pause = Math.min(pause * 2, 500)) {
      const taken = TaskLock.tryAcquire(dir);
      if (taken instanceof TaskLock) return taken;
      const left = waitMs - (performance.now() - start);
      if (left <= 0) {
        const who = taken === undefined ? "somebody else" : `thread ${taken.thread} of process ${taken.pid} on ${taken.host}`;
        throw new KeyfoldError(
          "store-locked",
          `Task directory ${dir} is in use by ${who}. Stop that process, or give this one another "state.dir".`,
          {
            remedy: "retry",
            details: { dir, task, ...taken },
          },
        );
      }
      await delay(Math.min(pause, left), undefined, signal === undefined ? {} : { signal });
    }
  }

  /** After a worker thread was terminated: frees the task directories it had. Returns their tasks. */
  async releaseThread(thread: number): Promise<string[]> {
    const tasks = await this.tasks();
    return tasks.filter((task) => releaseLockOfThread(this.taskDirectory(task), thread));
  }

  /** Tasks that have a directory here. */
  async tasks(): Promise<string[]> {
    const names = await readdir(this.path).catch(() => [] as string[]);
    return names.filter((name) => TASK.test(name)).sort();
  }

  /** Removes task directories that nobody has used for a while; those in use are left alone. Returns what it removed. */
  async clean({ delayMs, now, keep = () => false }: CleanOptions): Promise<string[]> {
    const removed: string[] = [];
    for (const task of await this.tasks()) {
      const dir = this.taskDirectory(task);
      if (keep(task)) continue;
      if (now() - (await lastUse(dir)) < delayMs) continue;
      const lock = TaskLock.tryAcquire(dir);
      if (!(lock instanceof TaskLock)) continue;
      try {
        // The lock goes last: until then nobody else may begin to use the directory.
        for (const name of await readdir(dir)) if (name !== ".lock") await rm(join(dir, name), { recursive: true, force: true });
      } finally {
        lock.release();
      }
      // Not empty: somebody has just taken it into use again.
      await rmdir(dir).catch(() => undefined);
      removed.push(dir);
    }
    return removed;
  }

  /** Who uses the task's directory now, as its lock says. */
  holder(task: string): ReturnType<typeof lockHolder> {
    return lockHolder(this.taskDirectory(task));
  }
}

/** When anything in a task's directory was last written, epoch ms. */
async function lastUse(dir: string): Promise<number> {
  let latest = 0;
  for (const name of ["", ...(await readdir(dir, { recursive: true }))]) {
    const found = await stat(join(dir, name)).catch(() => undefined);
    latest = Math.max(latest, found?.mtimeMs ?? 0);
  }
  return latest;
}
