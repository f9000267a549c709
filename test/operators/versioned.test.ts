import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { test } from "node:test";
import fc from "fast-check";
import { defineFunction, rocksdb, table } from "keyfold";
import { openStore } from "../../runtime/state/open-store.ts";
import { RecordCache } from "../../runtime/state/record-cache.ts";
import { VersionedStore } from "../../runtime/state/windowed/versioned-store.ts";
import { scratchDir } from "../fixtures/scratch.ts";
import { event, type Manner, manner, runs, through } from "./harness.ts";

const exact = (how: Manner): Manner => ({
  ...how,
  restart: { ...how.restart, crash: how.restart.crash && how.options.guarantee === "exactly_once_v2" },
});

test("a versioned table answers as of any time its history reaches back to, whatever the order of updates", async () => {
  const definition = defineFunction({ topology: table<number>("in", { store: rocksdb({ name: "rows", history: 30 }) }) });
  const keys = ["a", "é"];
  await fc.assert(
    fc.asyncProperty(
      fc.array(event(["in"], fc.option(fc.integer({ min: 1, max: 9 })), 90, keys), { maxLength: 40 }),
      manner,
      async (events, way) => {
        let largest = -1;
        const versions = new Map<string, Map<number, number | null>>(keys.map((key) => [key, new Map()]));
        for (const { key, value, timestamp } of events) {
          if (timestamp < largest - 30) continue;
          largest = Math.max(largest, timestamp);
          versions.get(key)?.set(timestamp, value);
        }
        const asOf = (key: string, time: number): number | undefined => {
          const sorted = [...(versions.get(key) ?? [])].sort(([a], [b]) => a - b);
          const latest = sorted.at(-1);
          const found = sorted.filter(([from]) => from <= time).at(-1);
          if (time < largest - 30 && found !== latest) return undefined;
          return found?.[1] ?? undefined;
        };
        await through(definition, events, exact(way), (driver) => {
          for (const key of keys) {
            for (let time = 0; time <= 95; time++)
              assert.equal(driver.store("rows").asOf(key, time), asOf(key, time), `${key} as of ${time}`);
            assert.equal(driver.store("rows").get(key), asOf(key, 1_000));
          }
        });
      },
    ),
    runs(60),
  );
});

test("nothing is left of rows that were deleted longer ago than the history goes", async () => {
  const dir = await scratchDir();
  const spec = { name: "rows", engine: { kind: "memory" as const }, logged: true, cached: false, changelog: {}, schemaVersion: 1 };
  const options = {
    dir,
    task: "0_0",
    cache: new RecordCache(0),
    memoryBytes: 1 << 20,
    stateMaxBytes: 1 << 20,
    now: () => 0,
    deleteRetentionMs: 1e12,
  };
  const store = await openStore(spec, options);
  const rows = new VersionedStore(store, 10);
  for (let i = 0; i < 50; i++) {
    rows.put(`k${i}`, i, i);
    rows.put(`k${i}`, null, i + 1);
    rows.beforeFlush();
  }
  rows.put("end", 1, 1_000);
  rows.beforeFlush();
  assert.deepEqual(
    [...store.range("0")].map(([key]) => key),
    ["kend"],
  );
  await store.close();
  await rm(dir, { recursive: true, force: true });
});
