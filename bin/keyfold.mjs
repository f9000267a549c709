#!/usr/bin/env node
import { existsSync } from "node:fs";

const LONG_RUNNING = new Set(["start", "dev"]);

// In a checkout the command line runs from its source, so that it is never out of date; the package has only the compiled form.
const source = new URL("../runtime/", import.meta.url);
const isCheckout = existsSync(source);
if (isCheckout && !process.features.typescript) {
  process.stderr.write(
    "keyfold's source needs Node 22.18 or later: `npx keyfold`, after `npm install`, runs on the one that was installed\n",
  );
  process.exit(1);
}
const load = (path) => import(isCheckout ? new URL(`${path}.ts`, source).href : new URL(`../dist/${path}.js`, import.meta.url).href);

if (LONG_RUNNING.has(process.argv[2])) (await load("host/host-process")).becomeHost();
await load("cli/bin");
