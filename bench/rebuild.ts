/**
 * How long after a function's file is written its new build is on disk, in watch mode: 10 functions, one of them changed.
 * Prints one JSON line. `node --conditions=keyfold-source bench/rebuild.ts [runs]`
 */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { watch } from "../runtime/bundle/watch.ts";
import { loadConfig } from "../runtime/config/load.ts";

const runs = Number(process.argv[2] ?? 50);
const functions = 10;
const root = await mkdtemp(join(tmpdir(), "keyfold-rebuild-"));
const source = (n: number, version: number): string =>
  `import { defineFunction } from "keyfold";\nexport default defineFunction<{ by: number }, number>({ source: "in-${n}", reduce: (sum = 0, { by }) => sum + by + ${version} });\n`;

await mkdir(join(root, "functions"));
await writeFile(join(root, "package.json"), JSON.stringify({ name: "rebuild-bench", type: "module" }));
for (let n = 0; n < functions; n++) await writeFile(join(root, "functions", `f${n}.ts`), source(n, 0));

let arrived: () => void = () => {};
const config = await loadConfig({ cwd: root, environment: {} });
const started = performance.now();
const watcher = await watch(config, (event) => {
  if (event.kind !== "built") throw new Error(`unexpected ${event.kind}`);
  if (event.fn.changed) arrived();
});
const coldMs = performance.now() - started;
const times: number[] = [];
for (let run = 1; run <= runs; run++) {
  const n = run % functions;
  const built = new Promise<void>((resolve) => (arrived = resolve));
  const from = performance.now();
  await writeFile(join(root, "functions", `f${n}.ts`), source(n, run));
  await built;
  times.push(performance.now() - from);
}
await watcher.close();
await rm(root, { recursive: true });

times.sort((a, b) => a - b);
const at = (q: number): number => Number((times[Math.min(times.length - 1, Math.floor(q * times.length))] ?? 0).toFixed(1));
process.stdout.write(
  `${JSON.stringify({ bench: "rebuild", functions, runs, coldMs: Number(coldMs.toFixed(0)), p50: at(0.5), p95: at(0.95), max: at(1), unit: "ms" })}\n`,
);
