#!/usr/bin/env node
// Bundles functions/ into .keyfold/build: `node build.mjs [functions...] [--json] [--config F] [--env E] [--help]`.
// The same as `keyfold build`: one ES module, one source map and one manifest for each function.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const node = at("./node_modules/.bin/node");
// Sources run where Node takes TypeScript (22.18 and later); the project brings such a Node along, and dist runs on any.
const native = Boolean(process.features.typescript);
const [program, ...args] =
  native || existsSync(node)
    ? [native ? process.execPath : node, "--disable-warning=ExperimentalWarning", at("./runtime/cli/bin.ts")]
    : [process.execPath, at("./dist/cli/bin.js")];
if (args.length === 1 && !existsSync(args[0])) {
  process.stderr.write("build.mjs needs Node 22.18 or later: run `npm install` first, which brings one along\n");
  process.exit(1);
}
const { status, error } = spawnSync(program, [...args, "build", ...process.argv.slice(2)], { stdio: "inherit" });
if (error) process.stderr.write(`${error.message}\n`);
process.exit(status ?? 1);
