import { randomUUID } from "node:crypto";
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, statSync, utimesSync, writeSync } from "node:fs";
import { join } from "node:path";
import { threadId } from "node:worker_threads";
import { isAlive, ownIdentity, type ProcessIdentity } from "./process-identity.ts";
import { fileError } from "./store-errors.ts";

const LOCK_FILE = ".lock";

/** A holder that cannot be asked (another container, another host) is gone when it has not touched its lock for so long, ms. */
const SILENT_MS = 60_000;
const TOUCH_MS = 15_000;
/** Between making the file and writing its text lie microseconds; text that has not come after this long never will, ms. */
const WRITING_MS = 5_000;

/** What the lock file says: who holds it. */
export interface LockHolder extends ProcessIdentity {
  readonly thread: number;
  readonly token: string;
}

/**
 * The right to use one task directory, held by one thread of one process. Node has no flock(2), so the file names its
 * holder, and whoever wants it makes sure that the holder lives: a crash leaves nothing stuck. Stores on RocksDB have the
 * kernel's own lock on top.
 */
export class TaskLock {
  readonly #path: string;
  readonly #token: string;
  readonly #touching: NodeJS.Timeout;

  private constructor(path: string, token: string) {
    this.#path = path;
    this.#token = token;
    this.#touching = setInterval(() => this.#touch(), TOUCH_MS).unref();
  }

  /** Takes the lock, or tells who has it (undefined: somebody who is just taking it). Makes the directory. */
  static tryAcquire(dir: string): TaskLock | LockHolder | undefined {
    mkdirSync(dir, { recursive: true });
    const path = join(dir, LOCK_FILE);
    const holder: LockHolder = { ...ownIdentity(), thread: threadId, token: randomUUID() };
    if (!create(path, holder) && !(removeStale(path, holder) && create(path, holder))) return readHolder(path);
    const written = readHolder(path);
    return written?.token === holder.token ? new TaskLock(path, holder.token) : written;
  }

  /** Releasing twice is harmless. */
  release(): void {
    clearInterval(this.#touching);
    if (readHolder(this.#path)?.token === this.#token) rmSync(this.#path, { force: true });
  }

  #touch(): void {
    const now = new Date();
    try {
      if (readHolder(this.#path)?.token === this.#token) utimesSync(this.#path, now, now);
    } catch {
      // The directory is gone; whoever removed it knows.
    }
  }
}

/** Who holds the task directory; undefined: nobody that is known. */
export function lockHolder(dir: string): LockHolder | undefined {
  return readHolder(join(dir, LOCK_FILE));
}

/** Removes a lock that a thread of this process left behind when it was terminated. False: it holds none there. */
export function releaseLockOfThread(dir: string, thread: number): boolean {
  const holder = lockHolder(dir);
  const self = ownIdentity();
  if (
    holder === undefined ||
    holder.pid !== self.pid ||
    holder.started !== self.started ||
    holder.host !== self.host ||
    holder.thread !== thread
  )
    return false;
  rmSync(join(dir, LOCK_FILE), { force: true });
  return true;
}

function create(path: string, holder: LockHolder): boolean {
  let file: number;
  try {
    file = openSync(path, "wx");
  } catch (thrown) {
    if (thrown instanceof Error && "code" in thrown && thrown.code === "EEXIST") return false;
    throw fileError(thrown, path);
  }
  try {
    writeSync(file, `${JSON.stringify(holder)}\n`);
    return true;
  } catch (thrown) {
    rmSync(path, { force: true });
    throw fileError(thrown, path);
  } finally {
    closeSync(file);
  }
}

function isHeld(path: string): boolean {
  const holder = readHolder(path);
  if (holder === undefined) return silence(path) < WRITING_MS;
  const state = isAlive(holder);
  return state === "alive" || (state === "unknown" && silence(path) < SILENT_MS);
}

/** One contender at a time looks again and removes, so that nobody removes the lock that another has just taken. */
function removeStale(path: string, self: LockHolder): boolean {
  if (isHeld(path)) return false;
  const guard = `${path}.breaking`;
  if (!create(guard, self)) {
    if (silence(guard) > WRITING_MS) rmSync(guard, { force: true });
    return false;
  }
  try {
    if (isHeld(path)) return false;
    rmSync(path, { force: true });
    return true;
  } finally {
    rmSync(guard, { force: true });
  }
}

/** How long ago the file was touched, ms; 0 when it is not there. */
function silence(path: string): number {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat === undefined ? 0 : Date.now() - stat.mtimeMs;
}

function readHolder(path: string): LockHolder | undefined {
  try {
    const holder: unknown = JSON.parse(readFileSync(path, "utf8"));
    return isHolder(holder) ? holder : undefined;
  } catch {
    return undefined;
  }
}

function isHolder(value: unknown): value is LockHolder {
  return (
    typeof value === "object" &&
    value !== null &&
    "pid" in value &&
    typeof value.pid === "number" &&
    "token" in value &&
    typeof value.token === "string"
  );
}
