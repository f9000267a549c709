import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import fc from "fast-check";
import { loadConfig } from "../../runtime/config/load.ts";
import type { ConfigLayer } from "../../runtime/config/types.ts";
import { KeyfoldError } from "../../runtime/errors.ts";
import { project, write } from "../fixtures/project.ts";

const config = (body: string): Record<string, string> => ({
  "wrangler-like.config.ts": `import { defineConfig } from "keyfold/config";\nexport default defineConfig(${body});\n`,
});

async function problems(
  load: Promise<unknown>,
): Promise<{ message: string; problems: { key: string; value?: unknown; nearest?: string }[] }> {
  const error = await load.then(
    () => assert.fail("the config should be refused"),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof KeyfoldError);
  assert.equal(error.code, "config-invalid");
  return { message: error.message, problems: (error.details["problems"] ?? []) as { key: string }[] };
}

describe("finding the config", () => {
  test("no file: the defaults, and the package's name", async () => {
    const root = project({ "package.json": '{ "name": "@shop/Carts" }' });
    const loaded = await loadConfig({ cwd: root, environment: {} });
    assert.equal(loaded.name, "shop-carts");
    assert.equal(loaded.root, root);
    assert.equal(loaded.configFile, undefined);
    assert.equal(loaded.functionsDir, join(root, "functions"));
    assert.equal(loaded.buildDir, join(root, ".keyfold/build"));
    assert.equal(loaded.engine["state.dir"], join(root, ".keyfold/state"));
    assert.deepEqual(loaded.log, { kind: "embedded", flush: "os" });
    assert.equal(loaded.engine["cache.max.bytes.buffering"], 10 * 2 ** 20);
    assert.equal(loaded.engine["commit.interval.ms"], 30_000);
    assert.equal(loaded.dev, false);
  });

  test("from a directory below, in TypeScript, with imports of its own", async () => {
    const root = project({
      ...config("{ name, defaultPartitions: parts as number } satisfies object"),
      "parts.ts": 'export const parts: number = 7; export const name = "typed";',
      "functions/a.ts": "",
    });
    const file = join(root, "wrangler-like.config.ts");
    const { readFileSync, writeFileSync } = await import("node:fs");
    writeFileSync(
      file,
      `import { name, parts } from "./parts.ts";\nimport { hostname } from "node:os";\nvoid hostname;\n${readFileSync(file, "utf8")}`,
    );
    const loaded = await loadConfig({ cwd: join(root, "functions"), environment: {} });
    assert.equal(loaded.name, "typed");
    assert.equal(loaded.defaultPartitions, 7);
    assert.equal(loaded.root, root);
    assert.equal(loaded.configFile, file);
  });

  test("a file that is not there, has no default export, does not parse, or throws", async () => {
    const root = project({
      "none.ts": "export const x = 1;",
      "syntax.ts": "export default {\n  name: ,\n};",
      "throws.ts": 'throw new Error("boom");',
    });
    assert.match(
      (await problems(loadConfig({ cwd: root, file: "missing.ts", environment: {} }))).message,
      /there is no config file .*missing\.ts/,
    );
    assert.match((await problems(loadConfig({ cwd: root, file: "none.ts", environment: {} }))).message, /no default export/);
    assert.match(
      (await problems(loadConfig({ cwd: root, file: "syntax.ts", environment: {} }))).message,
      /syntax\.ts:2:9\n {4}2 \| {3}name: ,\n {6}\| {9}\^/,
    );
    assert.match((await problems(loadConfig({ cwd: root, file: "throws.ts", environment: {} }))).message, /threw while it was read: boom/);
  });
});

describe("what is wrong", () => {
  test("unknown keys name the nearest valid one, wherever it lives", async () => {
    const root = project(
      config(
        `{ "commit.intervall.ms": 1, "body.max.bytes": 1, topics: { orders: { partitons: 3 } }, functions: { cart: { onEror: "fail" } }, zzzzzzzzzz: 1 } as object`,
      ),
    );
    const found = await problems(loadConfig({ cwd: root, environment: {} }));
    assert.deepEqual(
      found.problems.map(({ key, nearest }) => [key, nearest]).sort(),
      [
        ["body.max.bytes", "limits.body.max.bytes"],
        ["commit.intervall.ms", "commit.interval.ms"],
        ["functions.cart.onEror", "onError"],
        ["topics.orders.partitons", "partitions"],
        ["zzzzzzzzzz", undefined],
      ].sort(),
    );
    assert.match(found.message, /in 5 places/);
    assert.match(found.message, /commit\.intervall\.ms: unknown key \(value 1\); did you mean "commit\.interval\.ms"\?/);
  });

  test("bad values say what they are and what is allowed; all are listed", async () => {
    const root = project(
      config(`{ defaultPartitions: 0, "commit.interval.ms": "5 parsecs", "cache.max.bytes.buffering": -1, "processing.guarantee": "exactly_once", logLevel: 3,
        topics: { "bad topic": { partitions: 1 }, ok: { partitions: "4", "retention.ms": -2 } }, functions: { "Bad Name": {} }, http: [], log: { kind: "redis" },
        env: { prod: { http: { port: 99999 } } } } as object`),
    );
    const found = await problems(loadConfig({ cwd: root, environment: {} }));
    const keys = found.problems.map(({ key }) => key);
    for (const key of [
      "defaultPartitions",
      "commit.interval.ms",
      "cache.max.bytes.buffering",
      "processing.guarantee",
      "logLevel",
      "topics.ok.partitions",
      "topics.ok.retention.ms",
      "http",
      "log.kind",
      "env.prod.http.port",
    ]) {
      assert.ok(keys.includes(key), `${key} is missing among ${keys.join(", ")}`);
    }
    assert.match(found.message, /defaultPartitions: 0 is not allowed; it must be a whole number from 1 to 10000/);
    assert.match(found.message, /commit\.interval\.ms: "5 parsecs" is not allowed; it must be whole milliseconds/);
    assert.match(found.message, /processing\.guarantee: "exactly_once" is not allowed.*did you mean "exactly_once_v2"\?/);
    assert.match(found.message, /env\.prod\.http\.port: 99999/);
  });

  test("names of topics and functions", async () => {
    const root = project(config(`{ topics: { "bad topic": {} }, env: { p: { functions: { "Bad": {} } } } }`));
    const keys = (await problems(loadConfig({ cwd: root, environment: {} }))).problems.map(({ key }) => key);
    assert.deepEqual(keys, ["topics.bad topic", "env.p.functions.Bad"]);
  });

  test("what only the whole can show: kafka without brokers, kafka's settings on an embedded log", async () => {
    const kafka = project(config(`{ log: { kind: "kafka", sasl: { mechanism: "plain", username: "me" } } }`));
    const keys = (await problems(loadConfig({ cwd: kafka, environment: {} }))).problems.map(({ key }) => key);
    assert.deepEqual(keys, ["log.brokers", "log.sasl.password"]);
    const embedded = project(config(`{ log: { kind: "embedded", brokers: ["a:1"] } } as object`));
    assert.match(
      (await problems(loadConfig({ cwd: embedded, environment: {} }))).message,
      /log\.brokers: only a log of kind "kafka" has this/,
    );
    const ready = await loadConfig({ cwd: kafka, environment: { KEYFOLD_LOG_BROKERS: "a:1, b:2", KEYFOLD_LOG_SASL_PASSWORD: "s" } });
    assert.deepEqual(ready.log, { kind: "kafka", brokers: ["a:1", "b:2"], sasl: { mechanism: "plain", username: "me", password: "s" } });
  });

  test("anything at all as the default export is refused or accepted, never a crash", async () => {
    const { checkLayer } = await import("../../runtime/config/check.ts");
    const { configSchema } = await import("../../runtime/config/schema.ts");
    fc.assert(
      fc.property(fc.anything({ withBigInt: true, withDate: true, withMap: true, withNullPrototype: true }), (value) => {
        const { problems: found } = checkLayer(configSchema, value);
        for (const { key, message } of found) assert.ok(key !== "" && message !== "");
      }),
      { numRuns: 500, verbose: 1 },
    );
  });
});

describe("how values are written", () => {
  test("durations and sizes as text", async () => {
    const root = project(
      config(`{ "commit.interval.ms": "1.5 seconds", "cache.max.bytes.buffering": "64 MiB", limits: { "body.max.bytes": "1 MB", "reducer.timeout.ms": "2s" },
        topics: { a: { partitions: 2, "retention.ms": "7 days", "retention.bytes": -1, "cleanup.policy": "compact", "min.cleanable.dirty.ratio": 0.2 }, b: {} }, defaultPartitions: 6,
        "retry.backoff.ms": "1s", functions: { cart: { "retry.backoff.ms": "3s" } } }`),
    );
    const loaded = await loadConfig({ cwd: root, environment: {} });
    assert.equal(loaded.engine["commit.interval.ms"], 1_500);
    assert.equal(loaded.engine["cache.max.bytes.buffering"], 64 * 2 ** 20);
    assert.equal(loaded.limits["body.max.bytes"], 1_000_000);
    assert.equal(loaded.limits["reducer.timeout.ms"], 2_000);
    assert.deepEqual(loaded.topics["a"], {
      partitions: 2,
      config: { "retention.ms": "604800000", "retention.bytes": "-1", "cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.2" },
    });
    assert.deepEqual(loaded.topics["b"], { partitions: 6, config: {} });
    assert.equal(loaded.functionDefaults["retry.backoff.ms"], 1_000);
    assert.deepEqual(loaded.functions["cart"], { "retry.backoff.ms": 3_000 });
  });

  test("the commit interval follows the guarantee unless it is set", async () => {
    const once = project(config(`{ "processing.guarantee": "exactly_once_v2" }`));
    assert.equal((await loadConfig({ cwd: once, environment: {} })).engine["commit.interval.ms"], 100);
    assert.equal(
      (await loadConfig({ cwd: once, environment: { KEYFOLD_COMMIT_INTERVAL_MS: "30s" } })).engine["commit.interval.ms"],
      30_000,
    );
  });
});

describe("precedence", () => {
  test("flag > environment variable > env overlay > config > default, for any choice of layers", async () => {
    const root = project({});
    const { writeFileSync } = await import("node:fs");
    const run = fc.asyncProperty(
      fc.record({ file: fc.boolean(), overlay: fc.boolean(), variable: fc.boolean(), flag: fc.boolean() }),
      async (has) => {
        writeFileSync(
          join(root, "wrangler-like.config.ts"),
          `export default { ${has.file ? "defaultPartitions: 11," : ""} env: { prod: { ${has.overlay ? "defaultPartitions: 12" : ""} } } };`,
        );
        const flags: ConfigLayer = has.flag ? { defaultPartitions: 14 } : {};
        const { defaultPartitions } = await loadConfig({
          cwd: root,
          env: "prod",
          flags,
          environment: has.variable ? { KEYFOLD_DEFAULT_PARTITIONS: "13" } : {},
        });
        assert.equal(defaultPartitions, has.flag ? 14 : has.variable ? 13 : has.overlay ? 12 : has.file ? 11 : 4);
      },
    );
    await fc.assert(run, { numRuns: 16, verbose: 1 });
  });

  test("overlays merge key by key; another kind of log replaces the log", async () => {
    const root = project(
      config(`{ log: { kind: "embedded", flush: "commit" }, topics: { a: { partitions: 2, "segment.ms": 5 } }, functions: { f: { retries: 1, onError: "retry" } },
        env: { prod: { log: { kind: "kafka", brokers: ["k:9092"] }, topics: { a: { partitions: 3 }, b: {} }, functions: { f: { retries: 2 } } } } }`),
    );
    const loaded = await loadConfig({ cwd: root, environment: { KEYFOLD_ENV: "prod" } });
    assert.deepEqual(loaded.log, { kind: "kafka", brokers: ["k:9092"] });
    assert.deepEqual(loaded.topics, { a: { partitions: 3, config: { "segment.ms": "5" } }, b: { partitions: 4, config: {} } });
    assert.deepEqual(loaded.functions["f"], { retries: 2, onError: "retry" });
    const unknown = await problems(loadConfig({ cwd: root, env: "prd", environment: {} }));
    assert.match(unknown.message, /env\.prd: there is no such overlay; did you mean "prod"\?/);
  });

  test("environment variables: by kind, wrong ones named as variables, slips told, strangers left alone", async () => {
    const root = project({});
    const loaded = await loadConfig({
      cwd: root,
      environment: {
        KEYFOLD_HTTP_INTERNAL_PORT: "0",
        KEYFOLD_LIMITS_STATE_MAX_BYTES: "2 MiB",
        KEYFOLD_FUNCTION_DEFAULTS_ON_ERROR: "fail",
        KEYFOLD_STATE_DIR: "elsewhere",
        KEYFOLD_MY_OWN_THING: "x",
        KEYFOLD_NAME: "",
      },
    });
    assert.equal(loaded.http.internalPort, 0);
    assert.equal(loaded.limits["state.max.bytes"], 2 ** 21);
    assert.equal(loaded.functionDefaults.onError, "fail");
    assert.equal(loaded.engine["state.dir"], join(root, "elsewhere"));
    assert.equal(loaded.name, "test-app");
    const found = await problems(loadConfig({ cwd: root, environment: { KEYFOLD_COMIT_INTERVAL_MS: "1", KEYFOLD_HTTP_PORT: "many" } }));
    assert.match(found.message, /KEYFOLD_COMIT_INTERVAL_MS: unknown environment variable; did you mean KEYFOLD_COMMIT_INTERVAL_MS\?/);
    assert.match(found.message, /environment variable KEYFOLD_HTTP_PORT: "many" is not allowed; it must be a whole number from 0 to 65535/);
    write(root, { "wrangler-like.config.ts": "export default {};" });
    const beside = await problems(loadConfig({ cwd: root, environment: { KEYFOLD_HTTP_PORT: "many" } }));
    assert.match(beside.message, /^the configuration is not valid:\n/, "the file is not to blame");
  });
});
