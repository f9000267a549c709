import { tmpdir } from "node:os";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";

/**
 * How a process that hosts functions is best begun. All of it is read once, when a process starts:
 *
 * - V8 lets the young generation of the main thread grow to 192 MiB under a steady load of requests. A small one fits the
 *   processor's caches, and collects no less.
 * - glibc gives every thread a pool of its own, and by and by serves large blocks from those pools too: with RocksDB's threads
 *   and its blocks of a megabyte it keeps as much free as is in use. Large blocks go back to the system when they are freed.
 * - Every thread compiles the same modules, and in a checkout takes the types out of them: once will do. The place is Node's own.
 */
export const HOST_FLAGS = ["--max-semi-space-size=8"];
export const HOST_ENVIRONMENT = {
  MALLOC_ARENA_MAX: "2",
  MALLOC_MMAP_THRESHOLD_: "131072",
  MALLOC_TRIM_THRESHOLD_: "4194304",
  NODE_COMPILE_CACHE: join(tmpdir(), "node-compile-cache"),
};

/**
 * The old generation may double between two collections of it. V8's own measure lets it grow by 8 MiB: with states that come
 * and go by the thousand it walks the whole heap several times a second.
 */
const HEAP_GROWTH = "--heap-growing-percent=100";

/** Begins this process again, as the same process, with what a host needs; what its user has set stays. Before Node 22.15 only the heap's growth is set. */
export function becomeHost(): void {
  setFlagsFromString(HEAP_GROWTH);
  const { env, execArgv, execPath, argv } = process;
  if (process.execve === undefined || process.platform === "win32") return;
  const isSized = [...execArgv, env["NODE_OPTIONS"] ?? ""].some((text) => /max[-_]semi[-_]space[-_]size/.test(text));
  const isTuned = process.platform !== "linux" || Object.keys(HOST_ENVIRONMENT).every((name) => env[name] !== undefined);
  if (isSized && isTuned) return;
  const flags = isSized ? [] : HOST_FLAGS;
  process.execve(execPath, [execPath, ...flags, ...execArgv, ...argv.slice(1)], { ...HOST_ENVIRONMENT, ...env });
}
