#!/usr/bin/env node
import { existsSync } from "node:fs";

// In a checkout the command line runs from its source, so that it is never out of date; the package has only the compiled form.
const source = new URL("../runtime/cli/bin.ts", import.meta.url);
await import(existsSync(source) ? source.href : new URL("../dist/cli/bin.js", import.meta.url).href);
