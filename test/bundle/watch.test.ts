import assert from "node:assert/strict";
import { EventEmitter, on } from "node:events";
import { existsSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { readManifest } from "../../runtime/bundle/build-dir.ts";
import { Bundler } from "../../runtime/bundle/bundler.ts";
import { type WatchEvent, type Watcher, type WatchOptions, watch } from "../../runtime/bundle/watch.ts";
import { loadConfig } from "../../runtime/config/load.ts";
import type { ResolvedConfig } from "../../runtime/config/resolved.ts";
import { project, write } from "../fixtures/project.ts";

const counter = (by: number): string => `export default (n: number = 0): number => n + ${by};\n`;
const CONFIG = 'export default { functions: { f: { source: "a" } } };';

const TWO = 'export default { functions: { f: { source: "a" }, g: { source: "a" } } };';

async function watched(t: TestContext, files: Readonly<Record<string, string>>, options: WatchOptions = {}) {
  const config = await loadConfig({ cwd: project(files), environment: {} });
  const emitter = new EventEmitter();
  const events = on(emitter, "event") as AsyncIterableIterator<[WatchEvent]>;
  const watcher: Watcher = await watch(config, (event) => emitter.emit("event", event), options);
  t.after(() => watcher.close());
  /** The next event of a kind; those of other kinds must not come first unless allowed. */
  const next = async <K extends WatchEvent["kind"]>(kind: K): Promise<Extract<WatchEvent, { kind: K }>> => {
    for (;;) {
      const { value, done } = await events.next();
      if (done === true) return assert.fail("no more events");
      const [event] = value;
      if (event.kind === "built" && kind !== "built" && !event.fn.changed) continue;
      assert.equal(event.kind, kind, JSON.stringify(event));
      return event as Extract<WatchEvent, { kind: K }>;
    }
  };
  /** The next build that changed something. */
  const nextBuild = async (): Promise<Extract<WatchEvent, { kind: "built" }>> => {
    for (;;) {
      const event = await next("built");
      if (event.fn.changed) return event;
    }
  };
  return { config, watcher, next, nextBuild };
}

const version = (config: ResolvedConfig, name: string): string | undefined => readManifest(config.buildDir, name)?.versionId;

test("changes of a function and of what it imports, an error and its repair", async (t) => {
  const { config, watcher, next, nextBuild } = await watched(t, {
    "functions/f.ts": 'import { by } from "./lib/by.ts"; export default (n = 0) => n + by;',
    "functions/lib/by.ts": "export const by = 1;",
    "wrangler-like.config.ts": CONFIG,
  });
  assert.deepEqual(
    watcher.initial.functions.map(({ name }) => name),
    ["f"],
  );
  const first = version(config, "f");

  write(config.root, { "functions/lib/by.ts": "export const by = 22;" });
  const imported = await nextBuild();
  assert.equal(imported.fn.manifest.versionId, version(config, "f"));
  assert.notEqual(version(config, "f"), first);

  const good = version(config, "f");
  write(config.root, { "functions/f.ts": "export default (" });
  const failed = await next("failed");
  assert.match(failed.failure.error.message, /functions\/f\.ts:1:/);
  assert.equal(version(config, "f"), good);

  write(config.root, { "functions/f.ts": counter(333) });
  await nextBuild();
  assert.notEqual(version(config, "f"), good);
});

test("new functions, in directories too; deleted ones; a file replaced as editors do", async (t) => {
  const { config, next, nextBuild } = await watched(t, { "functions/f.ts": counter(1), "wrangler-like.config.ts": CONFIG });
  const withSource = (n: number): string =>
    `import { defineFunction } from "keyfold"; export default defineFunction({ source: "a", reduce: (n = 0) => n + ${n} });`;

  write(config.root, { "functions/g.ts": withSource(1) });
  assert.equal((await nextBuild()).fn.name, "g");
  write(config.root, { "functions/h/index.ts": withSource(2) });
  assert.equal((await nextBuild()).fn.name, "h");

  write(config.root, { ".new": counter(5) });
  renameSync(join(config.root, ".new"), join(config.root, "functions/f.ts"));
  assert.equal((await nextBuild()).fn.name, "f");

  rmSync(join(config.root, "functions/g.ts"));
  assert.equal((await next("removed")).name, "g");
  assert.ok(!existsSync(join(config.buildDir, "g")));
});

test("a function that could not be built is built once what it lacked is there", async (t) => {
  const { config, watcher, nextBuild } = await watched(t, {
    "functions/f.ts": 'import { by } from "./_by.ts"; export default (n = 0) => n + by;',
    "wrangler-like.config.ts": CONFIG,
  });
  assert.equal(watcher.initial.failures.length, 1);
  write(config.root, { "functions/_by.ts": "export const by = 1;" });
  assert.equal((await nextBuild()).fn.name, "f");
});

test("a file that was emptied, as programs do before they write it, is let be for a while", async (t) => {
  const files = { "functions/f.ts": counter(1), "functions/g.ts": counter(1), "wrangler-like.config.ts": TWO };
  const { config, next, nextBuild } = await watched(t, files, { emptyMs: Number.POSITIVE_INFINITY });
  write(config.root, { "functions/f.ts": "" });
  write(config.root, { "functions/g.ts": counter(2) });
  assert.equal((await nextBuild()).fn.name, "g");
  // Whatever there is to say of the empty one was said by now, or is before what comes of another round.
  write(config.root, { "functions/g.ts": counter(3) });
  assert.equal((await nextBuild()).fn.name, "g");
  write(config.root, { "functions/f.ts": counter(2) });
  assert.equal((await next("built")).fn.name, "f");
});

test("a file that stays empty is told", async (t) => {
  const { config, next } = await watched(t, { "functions/f.ts": counter(1), "wrangler-like.config.ts": CONFIG }, { emptyMs: 20 });
  write(config.root, { "functions/f.ts": "" });
  assert.match((await next("failed")).failure.error.message, /function "f"/);
});

test("a file that is written while it is built is told as it is in the end", async (t) => {
  const { config, nextBuild } = await watched(t, { "functions/f.ts": counter(1), "wrangler-like.config.ts": CONFIG });
  const file = join(config.root, "functions/f.ts");
  // Written by itself, when the build reads what it exports.
  const rewritten = `process.getBuiltinModule("node:fs").writeFileSync(${JSON.stringify(file)}, ${JSON.stringify(counter(333))});\n${counter(22)}`;
  write(config.root, { "functions/f.ts": rewritten });
  await nextBuild();
  assert.doesNotMatch(readFileSync(join(config.buildDir, "f/bundle.mjs"), "utf8"), /getBuiltinModule/);
});

test("the config file's change is told", async (t) => {
  const { config, next } = await watched(t, { "functions/f.ts": counter(1), "wrangler-like.config.ts": CONFIG });
  write(config.root, { "wrangler-like.config.ts": `${CONFIG}\n` });
  await next("config-changed");
});

test("a module that never ends is given up, and the next one is read", async (t) => {
  const config = await loadConfig({
    cwd: project({ "functions/spin.ts": "for (;;);", "functions/f.ts": counter(1), "wrangler-like.config.ts": CONFIG }),
    environment: {},
  });
  const bundler = new Bundler(config, 2_000);
  t.after(() => bundler.close());
  const spin = bundler.build({ name: "spin", file: join(config.root, "functions/spin.ts") });
  const fine = bundler.build({ name: "f", file: join(config.root, "functions/f.ts") });
  await assert.rejects(spin, /function "spin": reading the module took longer than 2000 ms/);
  assert.equal((await fine).name, "f");
});
