#!/usr/bin/env node
import { run } from "./program.ts";
import { processSignals } from "./signals.ts";

// `keyfold tail ... | head`: the reader has what it wanted.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));
process.exitCode = await run(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  stdin: process.stdin,
  cwd: process.cwd(),
  environment: process.env,
  signals: processSignals(),
});
