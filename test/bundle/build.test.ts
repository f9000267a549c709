import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import { type BuildFailure, type BuildResult, build, isStale } from "../../runtime/bundle/build.ts";
import { readManifests } from "../../runtime/bundle/build-dir.ts";
import { versionOf } from "../../runtime/bundle/describe.ts";
import { loadConfig } from "../../runtime/config/load.ts";
import type { ResolvedConfig } from "../../runtime/config/resolved.ts";
import { KeyfoldError } from "../../runtime/errors.ts";
import { project, write } from "../fixtures/project.ts";

const COUNTER = `import { defineFunction } from "keyfold";
export default defineFunction<{ by: number }, number>({ source: "counts", sink: "totals", reduce: (n = 0, { by }) => n + by });
`;

async function built(files: Readonly<Record<string, string>>): Promise<{ config: ResolvedConfig; result: BuildResult }> {
  const config = await loadConfig({ cwd: project(files), environment: {} });
  return { config, result: await build(config) };
}

function only(result: BuildResult): BuildFailure {
  const [failure] = result.failures;
  assert.ok(
    failure !== undefined && result.failures.length === 1,
    `one failure, not ${result.failures.map(({ error }) => error.message).join("; ") || "none"}`,
  );
  return failure;
}

describe("what a build makes", () => {
  test("bundle, map and manifest of each function; tests, helpers and other files are left out", async () => {
    const { config, result } = await built({
      "functions/counter.ts": COUNTER,
      "functions/plain.mjs": "export default (n = 0) => n + 1;",
      "functions/nested/index.ts": 'import { reduce } from "./reduce.ts"; export default reduce;',
      "functions/nested/reduce.ts": "export const reduce = (n = 0): number => n + 1;",
      "functions/jsx.tsx": "export default (n: number = 0) => n + 1;",
      "functions/counter.test.ts": "throw new Error('tests are no functions')",
      "functions/_helper.ts": "export const x = 1;",
      "functions/.hidden.ts": "nonsense(",
      "functions/types.d.ts": "export interface X {}",
      "functions/notes.md": "# notes",
      "wrangler-like.config.ts":
        'export default { functions: { plain: { source: "a" }, nested: { source: ["a", "b"] }, jsx: { source: "a" } } };',
    });
    assert.deepEqual(result.failures, []);
    assert.deepEqual(result.functions.map(({ name }) => name).sort(), ["counter", "jsx", "nested", "plain"]);
    const manifests = readManifests(config.buildDir);
    assert.deepEqual(
      manifests.map(({ name }) => name),
      ["counter", "jsx", "nested", "plain"],
    );
    const counter = manifests[0];
    assert.ok(counter);
    assert.match(counter.versionId, /^[0-9a-f]{16}$/);
    assert.equal(counter.format, 1);
    assert.deepEqual(counter.invoke, { topic: "counts", store: "state" });
    assert.equal(counter.queryStore, "state");
    assert.deepEqual(counter.topology.subtopologies[0]?.sinks, [{ topic: "totals", codec: "json" }]);
    assert.deepEqual(
      manifests[2]?.topology.subtopologies[0]?.sources.map(({ topic }) => topic),
      ["a", "b"],
    );
    const dir = join(config.buildDir, "counter");
    assert.deepEqual(readdirSync(dir).sort(), ["bundle.mjs", "bundle.mjs.map", "inputs.json", "manifest.json"]);
    assert.equal(readFileSync(join(dir, "bundle.mjs")).byteLength, counter.bytes);
    assert.deepEqual(readdirSync(join(config.buildDir, ".inspect")), []);
    const module = (await import(pathToFileURL(join(dir, "bundle.mjs")).href)) as {
      default: { reduce(n: undefined, event: object): unknown };
    };
    assert.equal(module.default.reduce(undefined, { by: 3 }), 3);
  });

  test("the same source gives the same bytes, wherever it lies; nothing absolute is in them", async () => {
    const files = { "functions/counter.ts": COUNTER, "functions/lib/index.ts": 'import c from "../counter.ts"; export default c;' };
    const [a, b] = [await built(files), await built(files)];
    for (const name of ["counter", "lib"]) {
      for (const file of ["bundle.mjs", "bundle.mjs.map", "manifest.json"]) {
        const text = readFileSync(join(a.config.buildDir, name, file), "utf8");
        assert.equal(text, readFileSync(join(b.config.buildDir, name, file), "utf8"));
        assert.ok(!text.includes(a.config.root) && !text.includes(process.cwd()), `${file} has an absolute path`);
      }
    }
  });

  test("npm dependencies are bundled, CommonJS ones that require Node's modules too", async () => {
    const { config, result } = await built({
      "node_modules/dep/package.json": '{ "name": "dep", "main": "main.js" }',
      "node_modules/dep/main.js":
        'const Events = require("events"); const { inspect } = require("node:util"); exports.word = inspect(typeof Events);',
      "functions/user.ts":
        'import { word } from "dep"; import { createHash } from "crypto"; export default (s = "") => s + word + typeof createHash;',
      "wrangler-like.config.ts": 'export default { functions: { user: { source: "a" } } };',
    });
    assert.deepEqual(result.failures, []);
    const module = (await import(pathToFileURL(join(config.buildDir, "user/bundle.mjs")).href)) as { default(s?: string): string };
    assert.equal(module.default(), "'function'function");
  });

  test("a function that uses none of keyfold's codecs carries none", async () => {
    const { config } = await built({ "functions/counter.ts": COUNTER });
    assert.doesNotMatch(readFileSync(join(config.buildDir, "counter/bundle.mjs"), "utf8"), /Packr|msgpack/);
  });

  test("routes and settings of the file are in the manifest", async () => {
    const { result } = await built({
      "functions/f.ts": `import { defineFunction } from "keyfold";
export const routes = { fetch: () => new Response("hi") };
export default defineFunction({ source: "s", onError: "fail", retries: 2, schemaVersion: 3, migrate: { 1: (s) => s, 2: (s) => s }, reduce: (n = 0) => n + 1 });`,
    });
    const { manifest } = result.functions[0] ?? {};
    assert.equal(manifest?.hasRoutes, true);
    assert.equal(manifest?.schemaVersion, 3);
    assert.equal(manifest?.settings.onError, "fail");
    assert.equal(manifest?.settings.retries, 2);
  });
});

describe("imports a function may not have", () => {
  test("module, place and reason; the chain through helpers and packages", async () => {
    const { result } = await built({
      "node_modules/logger/package.json": '{ "name": "logger", "main": "main.js" }',
      "node_modules/logger/main.js": '"use strict";\nvar os = require("os");\nmodule.exports = () => os.hostname();\n',
      "functions/_log.ts": 'export { default as log } from "logger";',
      "functions/f.ts": 'import { log } from "./_log.ts";\nexport default () => log();\n',
      "functions/ok.ts": COUNTER,
    });
    assert.deepEqual(
      result.functions.map(({ name }) => name),
      ["ok"],
    );
    const { name, error } = only(result);
    assert.equal(name, "f");
    assert.equal(error.code, "forbidden-import");
    assert.match(error.message, /function "f": a function cannot import Node's "os"/);
    assert.match(error.message, / {2}node_modules\/logger\/main\.js:2:18\n {4}2 \| var os = require\("os"\);\n {6}\| {18}\^{4}\n/);
    assert.match(error.message, /imported by functions\/f\.ts → functions\/_log\.ts → node_modules\/logger\/main\.js/);
    assert.match(error.message, /modules a function may import: .*buffer.*crypto.*zlib/);
    assert.deepEqual(error.details["modules"], ["os"]);
  });

  test("files, network, processes, threads, the machine, and keyfold's other parts", async () => {
    const specifiers = [
      "fs",
      "node:fs",
      "fs/promises",
      "net",
      "http",
      "node:https",
      "child_process",
      "worker_threads",
      "cluster",
      "dgram",
      "dns/promises",
      "tls",
      "vm",
      "repl",
      "inspector",
      "os",
      "process",
      "node:test",
      "node:sqlite",
      "keyfold/testing",
      "keyfold/config",
    ];
    const { result } = await built(
      Object.fromEntries(
        specifiers.map((specifier, i) => [
          `functions/f${i}.ts`,
          `import * as m from "${specifier}";\nexport default () => Object.keys(m).length;\n`,
        ]),
      ),
    );
    assert.equal(result.functions.length, 0);
    for (const [i, specifier] of specifiers.entries()) {
      const failure = result.failures.find(({ name }) => name === `f${i}`);
      assert.equal(failure?.error.code, "forbidden-import", specifier);
    }
  });

  test("a type is no import; what computes is allowed", async () => {
    const modules = [
      "assert/strict",
      "async_hooks",
      "buffer",
      "node:crypto",
      "diagnostics_channel",
      "events",
      "node:path/posix",
      "perf_hooks",
      "querystring",
      "stream/promises",
      "string_decoder",
      "timers/promises",
      "url",
      "util/types",
      "zlib",
    ];
    const { result } = await built({
      "functions/f.ts": `import type { Stats } from "node:fs";\n${modules.map((m, i) => `import * as m${i} from "${m}";`).join("\n")}\nexport default (s: Stats | number = 0) => [${modules.map((_, i) => `m${i}`)}].length;`,
      "wrangler-like.config.ts": 'export default { functions: { f: { source: "a" } } };',
    });
    assert.deepEqual(
      result.failures.map(({ error }) => error.message),
      [],
    );
  });
});

describe("what is wrong in a user's file", () => {
  test("a syntax error: file, line, column, caret", async () => {
    const { result } = await built({
      "functions/f.ts": "const größe = 1;\nexport default (n) => {\n\treturn größe +;\n};\n",
      "functions/ok.ts": COUNTER,
    });
    const { error } = only(result);
    assert.equal(error.code, "build-failed");
    assert.match(error.message, /Unexpected ";"\n {2}functions\/f\.ts:3:18\n {4}3 \| {3}return größe \+;\n {6}\| {17}\^/);
    assert.equal(result.functions.length, 1);
  });

  test("a missing import", async () => {
    const { result } = await built({ "functions/f.ts": 'import x from "./nowhere.ts";\nexport default x;' });
    assert.match(only(result).error.message, /Could not resolve "\.\/nowhere\.ts"\n {2}functions\/f\.ts:1:15/);
    const other = await built({ "functions/f.ts": 'import x from "@none/such/deep";\nexport default x;' });
    assert.match(only(other.result).error.message, /functions\/f\.ts:1:15[\s\S]*\n *If it is an npm package: npm install @none\/such$/);
  });

  test("a throw at the top of the module points at the source", async () => {
    const { result } = await built({
      "functions/f.ts": 'interface X { a: string }\nfunction fail(): X {\n  throw new TypeError("no luck");\n}\nexport default fail();',
    });
    const { error } = only(result);
    assert.equal(error.code, "build-failed");
    assert.match(error.message, /cannot be read: no luck\n {2}functions\/f\.ts:3:9\n {4}3 \| {3}throw new TypeError/);
  });

  test("no definition, or one that makes no sense", async () => {
    const { result } = await built({
      "functions/empty.ts": "",
      "functions/number.ts": "export default 3;",
      "functions/sourceless.ts": "export default (n = 0) => n + 1;",
      "functions/version.ts":
        'import { defineFunction } from "keyfold"; export default defineFunction({ source: "a", schemaVersion: 0, reduce: (n = 0) => n });',
    });
    assert.deepEqual(
      result.failures.map(({ name, error }) => [name, error.code]),
      [
        ["empty", "function-invalid"],
        ["number", "function-invalid"],
        ["sourceless", "function-invalid"],
        ["version", "function-invalid"],
      ],
    );
  });

  test("options that do not exist, values that are not allowed, topics that cannot be", async () => {
    const define = (options: string) => `import { defineFunction, stream } from "keyfold"; export default defineFunction({ ${options} });`;
    const { result } = await built({
      "functions/option.ts": define('sorce: "a", reduce: (n = 0) => n + 1'),
      "functions/steps.ts": define('topology: stream("a").to("b"), sink: "c"'),
      "functions/topic.ts": define('source: stream("a topic"), reduce: (n = 0) => n + 1'),
      "functions/value.ts": define('source: "a", onError: "fial", retries: -1, reduce: (n = 0) => n + 1'),
      "functions/zone.ts": define('source: ["a", "b"], sink: "b", reduce: (n = 0) => n + 1'),
    });
    const [option, steps, topic, value, cycle] = result.failures.map(({ error }) => error);
    assert.deepEqual(
      result.failures.map(({ error }) => error.code),
      ["function-invalid", "function-invalid", "function-invalid", "function-invalid", "topology-invalid"],
    );
    assert.match(option?.message ?? "", /there is no option "sorce"; the options here are source, sink, .*\n {2}functions\/option\.ts:1:/);
    assert.match(steps?.message ?? "", /there is no option "sink"; the options here are topology, query, /);
    assert.match(topic?.message ?? "", /"a topic" is not a topic name/);
    assert.match(value?.message ?? "", /onError: "fial" is not allowed; .*did you mean "fail"[\s\S]*retries: -1 is not allowed/);
    assert.match(cycle?.message ?? "", /reads the topic b, and its sink is the same/);
  });

  test("a duration in words, as in the config; what else a processor's options hold is its own", async () => {
    const { result } = await built({
      "functions/f.ts": `import { defineFunction } from "keyfold";
        export default defineFunction({
          source: "a", sink: "b", "commit.interval.ms": "5 seconds" as never,
          helper: (n: number) => n + 1,
          process(record, ctx) { ctx.forward((this as never as { helper(n: number): number }).helper(record.offset)); },
        } as never);`,
    });
    assert.deepEqual(result.failures, []);
    assert.deepEqual(result.functions[0]?.manifest.settings, { source: ["a"], sink: "b", "commit.interval.ms": 5_000 });
  });

  test("one that ends its thread takes nothing else along", async () => {
    const { result } = await built({ "functions/a.ts": "process.exit(7);", "functions/b.ts": COUNTER });
    assert.match(only(result).error.message, /function "a" ended the thread that read it \(exit code 7\)/);
    assert.equal(result.functions.length, 1);
  });

  test("what a function prints while it is read does not reach stdout", async () => {
    const { result } = await built({ "functions/a.ts": `console.log("hello");\n${COUNTER}` });
    assert.equal(result.functions.length, 1);
  });

  test("names", async () => {
    const { result } = await built({
      "functions/Cart.ts": COUNTER,
      "functions/a b.ts": COUNTER,
      "functions/twice.ts": COUNTER,
      "functions/twice.mjs": COUNTER,
      "functions/ok-1.2_x.ts": COUNTER,
    });
    assert.deepEqual(
      result.functions.map(({ name }) => name),
      ["ok-1.2_x"],
    );
    const messages = result.failures.map(({ error }) => error.message).sort();
    assert.equal(messages.length, 4);
    assert.match(messages[0] ?? "", /functions\/Cart\.ts: "Cart" cannot be a function's name/);
    assert.match(messages[2] ?? "", /functions\/twice\.mjs: there is another function "twice", functions\/twice\.ts/);
  });

  test("no functions directory; settings for a function that is not there; an unknown one asked for", async () => {
    const empty = await loadConfig({ cwd: project({}), environment: {} });
    await assert.rejects(build(empty), /there is no directory functions with functions in .*; run `keyfold init`/);
    const typo = await loadConfig({
      cwd: project({
        "functions/cart.ts": COUNTER,
        "wrangler-like.config.ts": "export default { functions: { crat: { retries: 1 } } };",
      }),
      environment: {},
    });
    await assert.rejects(build(typo), /functions\.crat: there is no such function; did you mean "cart"\?/);
    const fine = await loadConfig({ cwd: project({ "functions/cart.ts": COUNTER }), environment: {} });
    await assert.rejects(
      build(fine, { only: ["crat"] }),
      (error) => error instanceof KeyfoldError && error.code === "function-unknown" && /did you mean "cart"/.test(error.message),
    );
  });
});

describe("a build over a build", () => {
  test("a function that breaks keeps its last good build; nothing is written when nothing changed", async () => {
    const { config } = await built({ "functions/f.ts": COUNTER });
    const before = readFileSync(join(config.buildDir, "f/manifest.json"), "utf8");
    assert.equal((await build(config)).functions[0]?.changed, false);
    write(config.root, { "functions/f.ts": "export default (" });
    assert.equal((await build(config)).failures.length, 1);
    assert.equal(readFileSync(join(config.buildDir, "f/manifest.json"), "utf8"), before);
  });

  test("a deleted function's build goes, a stranger's directory stays", async () => {
    const { config } = await built({ "functions/f.ts": COUNTER, "functions/g.ts": COUNTER });
    mkdirSync(join(config.buildDir, "not-ours"));
    rmSync(join(config.root, "functions/g.ts"));
    assert.deepEqual((await build(config)).removed, ["g"]);
    assert.ok(!existsSync(join(config.buildDir, "g")) && existsSync(join(config.buildDir, "not-ours")));
  });

  test("only what was asked for is built, and nothing is removed", async () => {
    const { config } = await built({ "functions/f.ts": COUNTER, "functions/g.ts": COUNTER });
    rmSync(join(config.root, "functions/g.ts"));
    const result = await build(config, { only: ["f"] });
    assert.deepEqual([result.functions.length, result.removed], [1, []]);
  });

  test("stale: by content of any input, by config, by functions that come and go; not by touching", async () => {
    const { config } = await built({
      "functions/f.ts": 'import { by } from "./_by.ts"; export default (n = 0) => n + by;',
      "functions/_by.ts": "export const by = 1;",
      "wrangler-like.config.ts": 'export default { functions: { f: { source: "a" } } };',
    });
    assert.equal(await isStale(config), false);
    utimesSync(join(config.root, "functions/_by.ts"), new Date(), new Date());
    assert.equal(await isStale(config), false);
    write(config.root, { "functions/_by.ts": "export const by = 2;" });
    assert.equal(await isStale(config), true);
    await build(config);
    assert.equal(await isStale(config), false);
    assert.equal(await isStale({ ...config, functions: { f: { source: "b" } } }), true);
    assert.equal(await isStale({ ...config, name: "renamed" }), true);
    write(config.root, { "functions/g.ts": COUNTER });
    assert.equal(await isStale(config), true);
    rmSync(join(config.root, "functions/g.ts"));
    assert.equal(await isStale(config), false);
    rmSync(join(config.buildDir, "f/bundle.mjs"));
    assert.equal(await isStale(config), true);
  });

  test("a host without sources runs what was built", async () => {
    const { config } = await built({ "functions/f.ts": COUNTER });
    rmSync(config.functionsDir, { recursive: true });
    assert.equal(await isStale(config), false);
  });

  test("what a killed build left behind is swept", async () => {
    const { config } = await built({ "functions/f.ts": COUNTER });
    const left = [".inspect/f.0.mjs", "f/bundle.mjs.0.tmp"].map((path) => join(config.buildDir, path));
    for (const path of left) writeFileSync(path, "left");
    const longAgo = new Date(Date.now() - 86_400_000);
    for (const path of left) utimesSync(path, longAgo, longAgo);
    await build(config);
    assert.deepEqual(
      left.map((path) => existsSync(path)),
      [false, false],
    );
  });

  test("two builds at once do not spoil each other", async () => {
    const { config } = await built({ "functions/f.ts": COUNTER });
    write(config.root, { "functions/f.ts": COUNTER.replace("n + by", "n - by") });
    const results = await Promise.all([build(config), build(config), build(config)]);
    assert.deepEqual(
      results.flatMap(({ failures }) => failures),
      [],
    );
    const bundle = readFileSync(join(config.buildDir, "f/bundle.mjs"));
    assert.equal(readManifests(config.buildDir)[0]?.versionId, versionOf(bundle));
  });

  test("garbage where a build should be counts as no build", async () => {
    const { config } = await built({ "functions/f.ts": COUNTER });
    for (const [file, content] of [
      ["manifest.json", "{"],
      ["manifest.json", "null"],
      ["inputs.json", "[1]"],
      ["inputs.json", ""],
    ] as const) {
      writeFileSync(join(config.buildDir, "f", file), content);
      assert.equal(await isStale(config), true);
      await build(config);
      assert.equal(await isStale(config), false);
    }
  });

  test("a build directory that cannot be written is said plainly", async () => {
    const config = await loadConfig({
      cwd: project({ "functions/f.ts": COUNTER, taken: "a file" }),
      environment: { KEYFOLD_BUILD_DIR: "taken/build" },
    });
    const { error } = only(await build(config));
    assert.equal(error.code, "build-failed");
    assert.match(error.message, /cannot write .*taken/);
  });
});
