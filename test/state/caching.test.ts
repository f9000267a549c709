import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { KeyfoldError } from "../../runtime/errors.ts";
import { StoreMetrics } from "../../runtime/state/metrics.ts";
import { RecordCache } from "../../runtime/state/record-cache.ts";
import type { TaskStore } from "../../runtime/state/store.ts";
import { Changelog, commit, entries, open } from "./harness.ts";
import { defer, tempDir } from "./temp-dir.ts";

async function cached<V>(
  t: TestContext,
  cache = new RecordCache(1024 * 1024),
  name = "counts",
  metrics?: StoreMetrics,
): Promise<TaskStore<V>> {
  const store = await open<V>(tempDir(t), { name }, { cache, ...(metrics === undefined ? {} : { metrics }) });
  defer(t, () => store.close());
  return store;
}

describe("flush", () => {
  test("a key updated many times is logged and told of once, in the order of each key's last change", async (t) => {
    const store = await cached<number>(t);
    const changelog = new Changelog();
    const told: unknown[] = [];
    store.onFlush((key, next, previous, timestamp) => told.push([key, next?.value, previous?.value, timestamp]));
    store.put("b", 1, 10);
    store.put("a", 1, 11);
    for (let i = 2; i < 1_000; i++) store.put("b", i, 10 + i);
    store.put("c", 1, 12);
    assert.equal(store.dirty, true);
    commit(store, changelog);
    assert.deepEqual(told, [
      ["a", 1, undefined, 11],
      ["b", 999, undefined, 1_009],
      ["c", 1, undefined, 12],
    ]);
    assert.deepEqual(changelog.records(), ["a @11", "b @1009", "c @12"]);
    assert.equal(store.dirty, false);
    told.length = 0;
    store.delete("a", 20);
    store.put("b", 0, 21);
    commit(store, changelog);
    assert.deepEqual(told, [
      ["a", undefined, 1, 20],
      ["b", 0, 999, 21],
    ]);
    assert.deepEqual(changelog.records().slice(3), ["a - @20", "b @21"]);
  });

  test("the previous value of a key that was put without being read is read for the listener", async (t) => {
    const dir = tempDir(t);
    const changelog = new Changelog();
    const before = await open<number>(dir);
    before.put("a", 1, 1);
    commit(before, changelog);
    await before.close();
    const store = await open<number>(dir);
    defer(t, () => store.close());
    const told: unknown[] = [];
    store.onFlush((key, next, previous) => told.push([key, next?.value, previous?.value]));
    store.put("a", 2, 2);
    store.put("new", 1, 2);
    store.flush();
    assert.deepEqual(told, [
      ["a", 2, 1],
      ["new", 1, undefined],
    ]);
  });

  test("what came and went between two commits was never there", async (t) => {
    const store = await cached<number>(t);
    const changelog = new Changelog();
    let told = 0;
    store.onFlush(() => told++);
    store.put("a", 1, 1);
    store.delete("a", 2);
    commit(store, changelog);
    assert.equal(told, 0);
    assert.deepEqual(changelog.records(), []);
  });

  test("a listener may write to another store and to the same one; all of it is flushed", async (t) => {
    const cache = new RecordCache(1024 * 1024);
    const [up, down] = [await cached<number>(t, cache, "up"), await cached<number>(t, cache, "down")];
    up.onFlush((key, next) => {
      down.put(key, (next?.value ?? 0) * 2, 1);
      if ((next?.value ?? 0) < 3) up.put(key, (next?.value ?? 0) + 1, 1);
    });
    up.put("a", 1, 1);
    up.flush();
    assert.equal(up.get("a")?.value, 3);
    assert.equal(up.dirty, false);
    assert.equal(down.dirty, true);
    down.flush();
    assert.equal(down.get("a")?.value, 6);
  });

  test("a value that cannot be stored stops the flush, names its key, and rollback leaves nothing of it", async (t) => {
    const store = await cached<unknown>(t);
    const changelog = new Changelog();
    store.put("a", 1, 1);
    commit(store, changelog);
    store.put("a", 2, 2);
    store.put("bad", { on: () => 1 }, 2);
    store.put("c", 3, 3);
    assert.throws(
      () => store.flush(),
      (error) => error instanceof KeyfoldError && error.code === "state-unstorable" && error.details["key"] === "bad",
    );
    assert.equal(store.dirty, true);
    store.rollback();
    assert.deepEqual(entries(store), [["a", 1, 1]]);
    assert.equal(store.takeChangelog(), undefined);
    assert.throws(() => store.put("f", () => 1, 1), /is a function/);
  });

  test("what was handed out keeps its value when the key changes", async (t) => {
    const store = await cached<{ n: number }>(t);
    store.put("a", { n: 1 }, 1);
    const before = store.get("a");
    store.put("a", { n: 2 }, 2);
    assert.deepEqual({ ...before }, { value: { n: 1 }, timestamp: 1 });
  });

  test("live listeners hear of each change as it happens, with and without a cache", async (t) => {
    for (const cache of [new RecordCache(1_000_000), new RecordCache(0)]) {
      const store = await cached<number>(t, cache);
      const heard: unknown[] = [];
      store.onChange((...change) => heard.push(change));
      store.put("a", 1, 5);
      store.delete("a", 6);
      store.onChange(undefined);
      store.put("a", 2, 7);
      assert.deepEqual(heard, [
        ["a", 1, 5],
        ["a", undefined, 6],
      ]);
    }
  });
});

describe("the cache's bounds", () => {
  test("with no bytes there is no cache: every put is logged, and nothing is dirty", async (t) => {
    const store = await cached<number>(t, new RecordCache(0));
    const changelog = new Changelog();
    assert.equal(store.cached, false);
    store.put("a", 1, 1);
    store.put("a", 2, 2);
    assert.equal(store.dirty, false);
    assert.equal(store.get("a")?.value, 2);
    commit(store, changelog);
    assert.deepEqual(changelog.records(), ["a @1", "a @2"]);
  });

  test("clean entries go, the longest unread first; dirty ones stay and ask for a commit", async (t) => {
    const cache = new RecordCache(20_000);
    const metrics = new StoreMetrics();
    const store = await cached<string>(t, cache, "counts", metrics);
    const changelog = new Changelog();
    for (let i = 0; i < 200; i++) store.put(`k${i}`, "x".repeat(50), i);
    assert.ok(cache.usedBytes > cache.maxBytes && cache.dirtyBytes === cache.usedBytes);
    assert.equal(cache.wantsCommit, true);
    commit(store, changelog);
    assert.equal(cache.dirtyBytes, 0);
    assert.equal(cache.wantsCommit, false);
    assert.ok(cache.usedBytes <= cache.maxBytes);
    const misses = metrics.misses;
    store.get("k199");
    assert.equal(metrics.misses, misses, "the last flushed is still cached");
    store.get("k0");
    assert.equal(metrics.misses, misses + 1, "the first flushed is not");
    assert.equal(entries(store).length, 200);
  });

  test("one that would push all others out is not kept", async (t) => {
    const cache = new RecordCache(5_000);
    const store = await cached<string>(t, cache);
    store.put("small", "s", 1);
    store.put("large", "x".repeat(100_000), 1);
    commit(store, new Changelog());
    store.get("large");
    store.get("large");
    assert.ok(cache.usedBytes <= cache.maxBytes);
    assert.equal(store.get("large")?.value.length, 100_000);
  });

  test("a worker without a cache asks for a commit too, when much is held back", async (t) => {
    const cache = new RecordCache(0);
    const store = await cached<string>(t, cache);
    const value = "x".repeat(500_000);
    for (let i = 0; !cache.wantsCommit; i++) {
      assert.ok(i < 100);
      store.put(`k${i}`, value, 1);
    }
    // What a commit has taken along is still held, but wants no other commit.
    const taken = store.takeChangelog();
    assert.equal(cache.wantsCommit, false);
    assert.ok(cache.heldBytes > 2_000_000);
    store.committed(taken?.count);
    assert.equal(cache.stagedBytes, 0);
    assert.equal(cache.sealedBytes, 0);
    assert.equal(cache.wantsCommit, false);
  });

  test("bytes are given back when stores flush, roll back, restore and close", async (t) => {
    const cache = new RecordCache(1_000_000);
    const store = await open<number>(tempDir(t), {}, { cache });
    for (let i = 0; i < 100; i++) store.put(`k${i}`, i, i);
    store.get("absent");
    store.dropRange("k5", "k7");
    commit(store, new Changelog());
    store.put("k1", 2, 2);
    store.rollback();
    assert.equal(cache.usedBytes, 0);
    assert.equal(cache.dirtyBytes, 0);
    store.put("k1", 2, 2);
    store.get("k3");
    await store.close();
    assert.equal(cache.usedBytes, 0);
    assert.equal(cache.dirtyBytes, 0);
    assert.equal(cache.stagedBytes, 0);
  });
});

describe("prefetch", () => {
  for (const [name, bytes] of [
    ["roomy", 1_000_000],
    ["smaller than the batch", 3_000],
    ["off", 0],
  ] as const) {
    test(`with a cache that is ${name}, every key of the batch is read once`, async (t) => {
      const dir = tempDir(t);
      const before = await open<number>(dir);
      for (let i = 0; i < 300; i++) before.put(`k${i}`, i, i);
      commit(before, new Changelog());
      await before.close();
      const metrics = new StoreMetrics();
      const store = await open<number>(dir, {}, { cache: new RecordCache(bytes), metrics });
      defer(t, () => store.close());
      const batch = Array.from({ length: 200 }, (_, i) => `k${(i * 7) % 400}`);
      store.prefetch([...batch, ...batch]);
      for (const key of batch) assert.equal(store.get(key)?.value, Number(key.slice(1)) < 300 ? Number(key.slice(1)) : undefined);
      assert.equal(metrics.misses, 0);
      // A write goes before what was read ahead.
      store.put("k0", -1, 1);
      assert.equal(store.get("k0")?.value, -1);
      commit(store, new Changelog());
      assert.equal(store.get("k0")?.value, -1);
      store.delete("k7", 1);
      assert.equal(store.get("k7"), undefined);
    });
  }
});

test("what was read ahead never comes back over a later write, even when that was evicted since", async (t) => {
  const dir = tempDir(t);
  const before = await open<number>(dir);
  for (let i = 0; i < 100; i++) before.put(`k${i}`, 1, 1);
  commit(before, new Changelog());
  await before.close();
  const store = await open<number>(dir, {}, { cache: new RecordCache(2_000) });
  defer(t, () => store.close());
  const keys = Array.from({ length: 100 }, (_, i) => `k${i}`);
  store.prefetch(keys);
  for (const key of keys) store.put(key, 2, 2);
  commit(store, new Changelog());
  for (const key of keys) assert.equal(store.get(key)?.value, 2);
});

test("in dev, values given out and taken in are frozen", async (t) => {
  for (const bytes of [0, 1_000_000]) {
    const store = await open<{ list: number[] }>(tempDir(t), {}, { cache: new RecordCache(bytes), freeze: true });
    defer(t, () => store.close());
    const value = { list: [1] };
    store.put("a", value, 1);
    assert.throws(() => value.list.push(2), TypeError);
    assert.throws(() => store.get("a")?.value.list.push(2), TypeError);
    commit(store, new Changelog());
    for (const [, entry] of store.range()) assert.throws(() => entry.value.list.push(2), TypeError);
    assert.deepEqual(store.get("a")?.value, { list: [1] });
  }
});
