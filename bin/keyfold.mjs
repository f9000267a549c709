#!/usr/bin/env node
import { existsSync } from "node:fs";

const LONG_RUNNING = new Set(["start", "dev"]);

// In a checkout the command line runs from its source, so that it is never out of date; the package has only the compiled form.
const source = new URL("../runtime/", import.meta.url);
const isCheckout = existsSync(source);
const load = (path) => import(isCheckout ? new URL(`${path}.ts`, source).href : new URL(`../dist/${path}.js`, import.meta.url).href);

if (LONG_RUNNING.has(process.argv[2])) (await load("host/host-process")).becomeHost();
await load("cli/bin");
