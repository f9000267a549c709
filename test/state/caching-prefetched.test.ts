import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { KeyfoldError } from "../../runtime/errors.ts";
import { StoreMetrics } from "../../runtime/state/metrics.ts";
import { RecordCache } from "../../runtime/state/record-cache.ts";
import type { TaskStore } from "../../runtime/state/store.ts";
import { Changelog, commit, entries, open } from "./harness.ts";
import { defer, tempDir } from "./temp-dir.ts";

const keys = Array.from({ length: 100 }, (_, i) => `k${i}`);

/** Full of what was flushed before; a store that holds `keys`, each 1. */
async function full(t: TestContext, bytes = 4_000): Promise<{ store: TaskStore<unknown>; cache: RecordCache; metrics: StoreMetrics }> {
  const dir = tempDir(t);
  const before = await open<unknown>(dir);
  for (const key of keys) before.put(key, 1, 1);
  commit(before, new Changelog());
  await before.close();
  const cache = new RecordCache(bytes);
  const metrics = new StoreMetrics();
  const store = await open<unknown>(dir, {}, { cache, metrics });
  defer(t, () => store.close());
  for (let i = 0; i * 200 < bytes; i++) store.put(`filler${i}`, "x".repeat(60), 1);
  commit(store, new Changelog());
  return { store, cache, metrics };
}

const turn = (store: TaskStore<unknown>, value: unknown, of: readonly string[] = keys): void => {
  store.prefetch(of);
  for (const key of of) store.put(key, value, 2);
  store.prefetch([]);
};

test("keys that come once leave a full cache alone: they are written before the flush, and logged once", async (t) => {
  const { store, cache } = await full(t);
  const changelog = new Changelog();
  turn(store, 2);
  assert.ok(cache.stagedBytes > 0, "written through");
  assert.ok(cache.dirtyBytes < 300, "one or two found room");
  for (const key of keys) assert.equal(store.get(key)?.value, 2);
  commit(store, changelog);
  assert.deepEqual(changelog.records().sort(), keys.map((key) => `${key} @2`).sort());
  assert.deepEqual(
    entries(store).filter(([key]) => key.startsWith("k")),
    [...keys].sort().map((key) => [key, 2, 2]),
  );
});

test("keys that come again are admitted to a full cache, and logged once more, with their last value", async (t) => {
  const { store, cache, metrics } = await full(t);
  turn(store, 2);
  commit(store, new Changelog());
  const changelog = new Changelog();
  turn(store, 3);
  assert.ok(cache.dirtyBytes > 0, "in the cache");
  const { misses } = metrics;
  turn(store, 4);
  for (const key of keys) assert.equal(store.get(key)?.value, 4);
  assert.equal(metrics.misses, misses);
  commit(store, changelog);
  assert.deepEqual(changelog.records().sort(), keys.map((key) => `${key} @2`).sort());
});

test("between a prefetch and the flush, everything that reads sees the newest values, wherever they are", async (t) => {
  const { store } = await full(t);
  const all = (): [string, unknown][] => Array.from(store.prefix("k"), ([key, { value }]) => [key, value]);
  const expected = new Map<string, unknown>(keys.map((key) => [key, 1]));
  const check = (): void => {
    const sorted = [...expected].sort(([a], [b]) => (a < b ? -1 : 1));
    assert.deepEqual(all(), sorted);
    assert.deepEqual(
      Array.from(store.range("k5", "k7", { reverse: true }), ([key, { value }]) => [key, value]),
      sorted.filter(([key]) => key >= "k5" && key < "k7").reverse(),
    );
    for (const key of keys) assert.equal(store.get(key)?.value, expected.get(key));
  };
  const put = (key: string, value: unknown): void => {
    store.put(key, value, 2);
    expected.set(key, value);
  };
  store.prefetch([...keys, "k new"]);
  check();
  for (const key of keys.slice(0, 50)) put(key, 2);
  put("k new", 1);
  store.delete("k7", 3);
  expected.delete("k7");
  check();
  // Some are in the cache now, read by the range; others change behind it.
  for (const key of keys.slice(40, 60)) put(key, 3);
  check();
  store.prefetch(keys);
  check();
  for (const key of keys.slice(50, 70)) put(key, 4);
  store.prefetch([]);
  for (const key of keys.slice(60, 80)) put(key, 5);
  check();
  store.prefetch(keys.slice(30));
  for (const key of keys.slice(20, 90)) put(key, 6);
  store.dropRange("k3", "k5");
  for (const key of [...expected.keys()]) if (key >= "k3" && key < "k5") expected.delete(key);
  check();
  store.prefetch(keys);
  for (const key of keys.slice(35, 45)) put(key, 7);
  commit(store, new Changelog());
  check();
});

test("entries are counted where they wait, once", async (t) => {
  const { store } = await full(t);
  const before = store.approximateEntries();
  store.prefetch([...keys, "new"]);
  for (const key of keys) store.put(key, 2, 2);
  assert.equal(store.approximateEntries(), before);
  store.put("new", 1, 2);
  store.delete("k1", 2);
  store.delete("k2", 2);
  assert.equal(store.approximateEntries(), before - 1);
  store.prefetch([]);
  assert.equal(store.approximateEntries(), before - 1, "written through");
  store.rollback();
  assert.equal(store.approximateEntries(), before);
});

for (const [name, value, code] of [
  ["cannot be stored", { on: () => 1 }, "state-unstorable"],
  ["is too large", "x".repeat(1_100_000), "state-too-large"],
] as const) {
  test(`a state that ${name} is told of by the flush, not before it, and stays until it is replaced or rolled back`, async (t) => {
    const { store } = await full(t);
    const changelog = new Changelog();
    store.prefetch(keys);
    for (const key of keys) store.put(key, 2, 2);
    store.put("k50", value, 2);
    store.prefetch([]);
    for (let i = 0; i < 2; i++)
      assert.throws(
        () => store.flush(),
        (error) => error instanceof KeyfoldError && error.code === code && error.details["key"] === "k50",
      );
    assert.equal(store.dirty, true);
    store.rollback();
    assert.equal(store.dirty, false);
    for (const key of keys) assert.equal(store.get(key)?.value, 1);
    assert.equal(store.takeChangelog(), undefined);
    // Straight from the working set, and replaced in time.
    store.prefetch(keys);
    store.put("k50", value, 3);
    assert.throws(() => store.flush(), KeyfoldError);
    store.put("k50", 3, 3);
    commit(store, changelog);
    assert.deepEqual(changelog.records(), ["k50 @3"]);
  });
}

test("where somebody listens, nothing comes out before the flush, and then in the order of the last changes", async (t) => {
  const { store, cache } = await full(t);
  const changelog = new Changelog();
  const told: unknown[] = [];
  store.onFlush((key, next, previous) => told.push([key, next?.value, previous?.value]));
  turn(store, 2);
  turn(store, 3, [...keys].reverse());
  store.prefetch(["k5"]);
  store.put("k5", 4, 2);
  store.prefetch([]);
  assert.deepEqual([told, cache.stagedBytes], [[], 0]);
  commit(store, changelog);
  const order = [...[...keys].reverse().filter((key) => key !== "k5"), "k5"];
  assert.deepEqual(
    told,
    order.map((key) => [key, key === "k5" ? 4 : 3, 1]),
  );
  assert.deepEqual(
    changelog.records(),
    order.map((key) => `${key} @2`),
  );
});

test("large states do not wait for the end of a turn", async (t) => {
  const { store, cache } = await full(t);
  const changelog = new Changelog();
  store.prefetch(keys);
  for (const key of keys) store.put(key, `${key}${"x".repeat(50_000)}`, 2);
  assert.ok(cache.stagedBytes > 1_000_000, "some are below already");
  for (const key of keys) assert.ok(String(store.get(key)?.value).startsWith(key));
  for (const key of keys) store.put(key, `${key}${"y".repeat(50_000)}`, 3);
  commit(store, changelog);
  for (const [key, value] of entries(store)) if (key.startsWith("k")) assert.equal(value, `${key}${"y".repeat(50_000)}`);
  assert.deepEqual(
    keys.filter((key) => changelog.records().filter((record) => record === `${key} @3`).length !== 1),
    [],
  );
});

test("a rollback forgets what was read, what waited and what was written before its time", async (t) => {
  const { store, cache } = await full(t);
  turn(store, 2);
  turn(store, 3, keys.slice(0, 50));
  store.prefetch(keys);
  for (const key of keys.slice(25, 75)) store.delete(key, 4);
  store.rollback();
  assert.deepEqual([store.dirty, cache.dirtyBytes, cache.stagedBytes], [false, 0, 0]);
  for (const key of keys) assert.equal(store.get(key)?.value, 1);
  assert.deepEqual(
    entries(store).filter(([key]) => key.startsWith("k")),
    [...keys].sort().map((key) => [key, 1, 1]),
  );
  assert.equal(store.takeChangelog(), undefined);
});

test("what a restore brings is seen over everything that was read or written before it", async (t) => {
  const { store } = await full(t);
  const changelog = new Changelog();
  turn(store, 2);
  commit(store, changelog);
  store.prefetch(keys);
  const other = await open<unknown>(tempDir(t));
  defer(t, () => other.close());
  changelog.restore(other);
  for (const key of keys) other.put(key, 9, 9);
  commit(other, changelog);
  changelog.restore(store);
  for (const key of keys) assert.equal(store.get(key)?.value, 9);
});
