#!/usr/bin/env node
import { existsSync } from "node:fs";

const LONG_RUNNING = new Set(["start", "dev"]);

// glibc gives every thread a pool of memory of its own, and keeps what is freed there: with RocksDB's and V8's threads that is
// tens of megabytes for nothing. It reads this once, when a process begins, so a host begins again, as the same process.
if (process.platform === "linux" && process.env.MALLOC_ARENA_MAX === undefined && LONG_RUNNING.has(process.argv[2]) && process.execve) {
  process.execve(process.execPath, [process.execPath, ...process.execArgv, ...process.argv.slice(1)], {
    ...process.env,
    MALLOC_ARENA_MAX: "2",
  });
}

// In a checkout the command line runs from its source, so that it is never out of date; the package has only the compiled form.
const source = new URL("../runtime/cli/bin.ts", import.meta.url);
await import(existsSync(source) ? source.href : new URL("../dist/cli/bin.js", import.meta.url).href);
