import assert from "node:assert/strict";
import { test } from "node:test";
import { KeyfoldError } from "../../runtime/errors.ts";
import { IteratorRegistry } from "../../runtime/state/iterators.ts";
import type { TaskStore } from "../../runtime/state/store.ts";
import { Changelog, commit, open } from "./harness.ts";
import { defer, tempDir } from "./temp-dir.ts";

async function filled(dir: string, iterators: IteratorRegistry, now: () => number = Date.now): Promise<TaskStore<number>> {
  const store = await open<number>(dir, {}, { iterators, now });
  for (let i = 0; i < 5_000; i++) store.put(`k${String(i).padStart(5, "0")}`, i, i);
  commit(store, new Changelog());
  return store;
}

test("open iterators are counted, the oldest can be shown, and each is over when it ends or is given up", async (t) => {
  const iterators = new IteratorRegistry();
  let clock = 1_000;
  const store = await filled(tempDir(t), iterators, () => clock);
  defer(t, () => store.close());
  assert.equal(iterators.count, 0);

  // A short range is read at once and holds nothing.
  const short = store.range("k00001", "k00004");
  assert.equal(iterators.count, 0);
  assert.deepEqual(
    Array.from(short, ([key]) => key),
    ["k00001", "k00002", "k00003"],
  );

  const first = store.range();
  clock = 2_000;
  const second = store.prefix("k0");
  assert.equal(iterators.count, 2);
  assert.deepEqual(
    { store: iterators.oldest()?.store, task: iterators.oldest()?.task, since: iterators.oldest()?.since },
    { store: "counts", task: "0_0", since: 1_000 },
  );
  first.return?.();
  assert.equal(iterators.count, 1);
  assert.equal(iterators.oldest()?.since, 2_000);
  assert.equal(Array.from(second).length, 5_000);
  assert.equal(iterators.count, 0);

  // A loop that is left early, over changes that lie in the cache and in what is staged as well.
  store.put("k00000", -1, 1);
  store.flush();
  store.put("k00002", -2, 1);
  store.delete("k00003", 1);
  for (const [key, { value }] of store.range()) {
    if (key === "k00000") assert.equal(value, -1);
    if (key === "k00002") assert.equal(value, -2);
    assert.notEqual(key, "k00003");
    if (key > "k00100") break;
  }
  assert.equal(iterators.count, 0);
});

test("what an iterator shows does not change while it is read", async (t) => {
  const store = await filled(tempDir(t), new IteratorRegistry());
  defer(t, () => store.close());
  store.put("k00010", -10, 1);
  store.flush();
  store.put("k00020", -20, 1);
  const iterator = store.range();
  store.put("k00020", 0, 2);
  store.put("k00010", 0, 2);
  store.delete("k04000", 2);
  store.dropRange("k04500", "k04600");
  commit(store, new Changelog());
  const seen = new Map(Array.from(iterator, ([key, { value }]) => [key, value]));
  assert.equal(seen.size, 5_000);
  assert.equal(seen.get("k00010"), -10);
  assert.equal(seen.get("k00020"), -20);
  assert.equal(seen.get("k04000"), 4_000);
});

test("closing a store ends its iterators; reading on is store-closed, not a crash", async (t) => {
  const iterators = new IteratorRegistry();
  const store = await filled(tempDir(t), iterators);
  const iterator = store.range();
  iterator.next();
  await store.close();
  await store.close();
  assert.equal(iterators.count, 0);
  const closed = (error: unknown): boolean => error instanceof KeyfoldError && error.code === "store-closed";
  assert.throws(() => Array.from(iterator), closed);
  assert.throws(() => store.get("elsewhere"), closed);
  assert.throws(() => store.range(), closed);
  assert.throws(() => store.approximateEntries(), closed);
});
