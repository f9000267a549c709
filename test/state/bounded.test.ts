import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { TaskStore } from "../../runtime/state/store.ts";
import { Changelog, commit, entries, open } from "./harness.ts";
import { seed } from "./seed.ts";
import { defer, tempDir } from "./temp-dir.ts";

const lru = (dir: string, maxEntries: number): Promise<TaskStore<number>> => open<number>(dir, { engine: { kind: "lru", maxEntries } });

test("an lru store holds so many entries; putting and getting are uses, and the tombstone comes before what drives it out", async (t) => {
  const store = await lru(tempDir(t), 3);
  defer(t, () => store.close());
  const changelog = new Changelog();
  assert.equal(store.cached, false);
  const told: unknown[] = [];
  store.onChange((key, value) => told.push([key, value]));
  for (const [i, key] of ["a", "b", "c"].entries()) store.put(key, i, i);
  store.get("a");
  store.put("d", 3, 3);
  store.put("c", 4, 4);
  store.put("e", 5, 5);
  commit(store, changelog);
  assert.deepEqual(changelog.records(), ["a @0", "b @1", "c @2", "b - @3", "d @3", "c @4", "a - @5", "e @5"]);
  assert.deepEqual(
    entries(store).map(([key]) => key),
    ["c", "d", "e"],
  );
  assert.deepEqual(
    told,
    [
      ["a", 0],
      ["b", 1],
      ["c", 2],
      ["d", 3],
      ["c", 4],
      ["e", 5],
    ],
    "nothing is told of what was driven out",
  );
  assert.equal(store.approximateEntries(), 3);
});

test("restored, rolled back or never gone: the same entries, never more than the bound", async (t) => {
  const key = fc.constantFrom("a", "b", "c", "d", "e", "f");
  const step = fc.oneof(
    fc.record({ kind: fc.constant("put" as const), key }),
    fc.record({ kind: fc.constant("get" as const), key }),
    fc.record({ kind: fc.constant("delete" as const), key }),
    fc.record({ kind: fc.constant("commit" as const), key }),
    fc.record({ kind: fc.constant("rollback" as const), key }),
  );
  const dir = tempDir(t);
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 4 }), fc.array(step, { maxLength: 40, size: "max" }), async (max, steps) => {
      const store = await lru(dir, max);
      const changelog = new Changelog();
      let committed: unknown[] = [];
      for (const [i, s] of steps.entries()) {
        if (s.kind === "put") store.put(s.key, i, i);
        else if (s.kind === "get") store.get(s.key);
        else if (s.kind === "delete") store.delete(s.key, i);
        else if (s.kind === "commit") {
          commit(store, changelog);
          committed = entries(store);
        } else {
          store.rollback();
          assert.deepEqual(entries(store), committed);
        }
        assert.ok(entries(store).length <= max);
        assert.equal(store.approximateEntries(), entries(store).length);
      }
      commit(store, changelog);
      const restored = await lru(dir, max);
      changelog.restore(restored);
      assert.deepEqual(entries(restored), entries(store));
      restored.put("z", 1, 1);
      assert.ok(entries(restored).length <= max);
      await restored.close();
      await store.close();
    }),
    { numRuns: 300, seed: seed() },
  );
});

test("a bound that was lowered is held from the next put on", async (t) => {
  const dir = tempDir(t);
  const changelog = new Changelog();
  const wide = await lru(dir, 10);
  for (let i = 0; i < 10; i++) wide.put(`k${i}`, i, i);
  commit(wide, changelog);
  await wide.close();
  const narrow = await lru(dir, 3);
  defer(t, () => narrow.close());
  changelog.restore(narrow);
  narrow.put("new", 1, 20);
  commit(narrow, changelog);
  assert.deepEqual(
    entries(narrow).map(([key]) => key),
    ["k8", "k9", "new"],
  );
  assert.equal(changelog.records().filter((record) => record.includes(" - ")).length, 8);
});
