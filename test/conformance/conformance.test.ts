import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { describe, test } from "node:test";
import { canonical, compare } from "./compare.mjs";
import { readScenario, scenarioFiles } from "./main.ts";
import { type RunOptions, run } from "./run.ts";
import type { Actual, Scenario } from "./scenario.ts";

const scenarios: Scenario[] = [];
for (const file of await scenarioFiles(fileURLToPath(new URL("scenarios", import.meta.url)))) {
  const scenario = await readScenario(file);
  if (scenario !== undefined) scenarios.push(scenario);
}
const semantics = await readFile(new URL("../../docs/semantics.md", import.meta.url), "utf8");
/** Quirks in which we differ on purpose: those that docs/semantics.md names. */
const differs = new Set(scenarios.filter(({ name }) => semantics.includes(`\`${name}\``)).map(({ name }) => name));
const seed = Number(process.env["CONFORMANCE_SEED"] ?? 20_261_121);

describe("Kafka Streams' scenarios", { concurrency: 8 }, () => {
  for (const scenario of scenarios) {
    test(scenario.name, async () => {
      const comparison = compare(scenario, await run(scenario));
      if (differs.has(scenario.name)) {
        assert.ok(scenario.tags?.includes("quirk"), "only quirks may differ on purpose");
        assert.equal(comparison.pass, false, "docs/semantics.md says that this one differs, but it does not");
      } else assert.ok(comparison.pass, comparison.differences.join("\n"));
    });
  }
});

const alike = scenarios.filter(({ name }) => !differs.has(name));

describe("the same with a restart in the middle", { concurrency: 8 }, () => {
  const random = generator(seed);
  for (const scenario of alike) {
    const after = Math.floor(random() * scenario.input.length);
    const wipe = random() < 0.7;
    test(`${scenario.name}, ${wipe ? "from the changelog" : "over its stores"} after step ${after} (CONFORMANCE_SEED=${seed})`, async () => {
      const comparison = compare(scenario, await run(scenario, { restartAfter: new Set([after]), wipe }));
      assert.ok(comparison.pass, comparison.differences.join("\n"));
    });
  }
});

test("the same under exactly-once, with two restarts", async () => {
  for (const scenario of alike) {
    const { length } = scenario.input;
    const comparison = compare(scenario, await run(scenario, { guarantee: "exactly_once_v2", restartAfter: new Set([length >> 2, length >> 1]) }));
    assert.ok(comparison.pass, comparison.differences.join("\n"));
  }
});

/** Their results depend on how many updates of a table come out, or on when: with a cache there are fewer, and later. */
const COUNTS_UPDATES: ReadonlySet<string> = new Set([
  "suppress/max-records",
  "table/to-stream-then-aggregate",
  // A row that came and went between two flushes was in no group, so that its group has no zero either.
  "table/group-count",
  "table/group-null-key",
  "table/group-reduce",
]);

describe("the same final state with the record cache", { concurrency: 3 }, () => {
  const sizes: readonly RunOptions[] = [
    { cache: 600, commitInterval: 1e12 },
    { cache: 10_000_000, commitInterval: 1e12 },
    { cache: 10_000_000, commitInterval: 25 },
  ];
  for (const options of sizes) {
    test(`of ${options.cache} bytes, a commit every ${options.commitInterval} ms`, async () => {
      for (const scenario of alike) {
        if (COUNTS_UPDATES.has(scenario.name)) continue;
        const actual = await run(scenario, options);
        assert.equal(finalValues(actual.output), finalValues(scenario.expect.output), `${scenario.name}: final results`);
        const { storeValues, differences } = compare(scenario, actual);
        assert.notEqual(storeValues, false, `${scenario.name}: ${differences.join("\n")}`);
      }
    });
  }
});

/** The last value of each key (and window) in each topic; keys that end deleted are left out, as they may never have come out. */
function finalValues(output: Actual["output"]): string {
  const last = new Map<string, unknown>();
  for (const [topic, records] of Object.entries(output)) {
    for (const { key, windowStart, windowEnd, value } of records as readonly Readonly<Record<string, unknown>>[]) {
      last.set(canonical([topic, key, windowStart ?? null, windowEnd ?? null]), value);
    }
  }
  return canonical([...last].filter(([, value]) => value !== null).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Mulberry32. */
function generator(start: number): () => number {
  let a = start;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
