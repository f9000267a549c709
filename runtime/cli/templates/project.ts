/** The files of a new project. Here rather than beside it, so that they are in the package whatever is done to it. */

export function packageAdditions(name: string, version: string) {
  // Node runs TypeScript itself from 22.18 on; before that the tests need a loader.
  const native = Boolean((process.features as { typescript?: unknown }).typescript);
  return {
    name,
    private: true,
    type: "module",
    scripts: {
      dev: "keyfold dev",
      build: "keyfold build",
      start: "keyfold start",
      test: native ? 'node --test "functions/**/*.test.ts"' : "tsx --test functions/*.test.ts",
      typecheck: "tsc --noEmit",
    },
    dependencies: { keyfold: `^${version}` },
    devDependencies: { "@types/node": "^24.0.0", ...(native ? {} : { tsx: "^4.20.0" }), typescript: ">=5.8.0" },
  };
}

export function configTemplate(name: string): string {
  return `import { defineConfig } from "keyfold/config";

export default defineConfig({
  name: ${JSON.stringify(name)},
  topics: {
    counts: { partitions: 4 },
  },
  env: {
    // production: { log: { kind: "kafka", brokers: ["localhost:9092"] } },
  },
});
`;
}

/** @param modules whether the config file, which is beside package.json, is an ES module to Node. */
export function tsconfigTemplate(modules: boolean): string {
  return `{
  "compilerOptions": {
    "target": "ES2023",
    "module": "NodeNext",
    "types": ["node"],
    "strict": true,
    "noUncheckedIndexedAccess": true,
    "verbatimModuleSyntax": ${modules},
    "erasableSyntaxOnly": true,
    "allowImportingTsExtensions": true,
    "skipLibCheck": true,
    "noEmit": true
  },
  "include": ["functions", "wrangler-like.config.ts"]
}
`;
}

export function counterTemplate(): string {
  return `import { defineFunction } from "keyfold";

export interface Count {
  by: number;
}

/** Adds up the counts of each key. The state after every event is kept, queryable, and sent to the topic "totals". */
export default defineFunction<Count, number>({
  source: "counts",
  sink: "totals",
  reduce(total = 0, { by }) {
    const next = total + by;
    return next === 0 ? null : next; // null: the key is deleted
  },
});
`;
}

export function counterTestTemplate(): string {
  return `import assert from "node:assert/strict";
import { test } from "node:test";
import { createTestDriver } from "keyfold/testing";
import counter from "./counter.ts";

test("adds up the counts of a key, and forgets it at zero", async (t) => {
  const driver = await createTestDriver(counter);
  t.after(() => driver.close());
  driver.pipe("counts", { key: "alice", value: { by: 2 } });
  driver.pipe("counts", { key: "alice", value: { by: 3 } });
  assert.equal(driver.state("alice"), 5);
  driver.pipe("counts", { key: "alice", value: { by: -5 } });
  assert.equal(driver.state("alice"), undefined);
  assert.deepEqual(driver.read("totals").map(({ value }) => value), [2, 5, null]);
});
`;
}

export function ignoredPaths(): string[] {
  return ["node_modules/", ".keyfold/"];
}
