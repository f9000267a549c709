import assert from "node:assert/strict";
import { test } from "node:test";
import { RecordCache } from "../../runtime/state/record-cache.ts";
import type { TaskStore } from "../../runtime/state/store.ts";
import { Changelog, commit, open } from "./harness.ts";
import { defer, tempDir } from "./temp-dir.ts";

/** Half of it is for the rows written last. */
const MEMORY = 512 * 1024;
const KIB_3 = "x".repeat(3_000);

test("what waits for a commit is read, also when the rows written last have lost it", async (t) => {
  const store: TaskStore<unknown> = await open(tempDir(t), {}, { cache: new RecordCache(0), memoryBytes: MEMORY });
  defer(t, () => store.close());
  const changelog = new Changelog();
  const taken: { data: Uint8Array; count: number }[] = [];
  const take = (): void => {
    const one = store.takeChangelog();
    if (one !== undefined) taken.push(one);
  };
  const fill = (name: string, rows: number): void => {
    for (let i = 0; i < rows; i++) store.put(`${name}${i}`, KIB_3, 2);
  };
  for (const key of ["changed", "deleted", "dropped"]) store.put(key, "old", 1);
  commit(store, changelog);

  store.put("changed", "new", 2);
  store.delete("deleted", 2);
  const check = (): void => {
    assert.equal(store.get("changed")?.value, "new");
    assert.equal(store.get("deleted"), undefined);
  };
  fill("a", 40);
  check();
  take();
  check();
  // All of this generation fits into the ring, together with the one before it does not.
  fill("b", 65);
  check();
  take();
  check();
  fill("c", 1);
  check();
  store.dropRange("dropped", "droppee");
  take();
  assert.equal(store.get("dropped"), undefined);
  fill("d", 1);
  assert.equal(store.get("dropped"), undefined);
  check();
  let position: number | undefined;
  for (const { data, count } of taken) position = changelog.append(data, count);
  store.committed(position);
  check();
  assert.equal(store.get("dropped"), undefined);
  assert.equal(store.get("b64")?.value, KIB_3);
});

test("what is dropped is gone at once in a store that was just opened, before and after the drop is taken along", async (t) => {
  const dir = tempDir(t);
  const before = await open<unknown>(dir);
  for (const key of ["a", "b", "c"]) before.put(key, 1, 1);
  commit(before, new Changelog());
  await before.close();
  const store = await open<unknown>(dir, {}, { cache: new RecordCache(0), memoryBytes: MEMORY });
  defer(t, () => store.close());
  const check = (): void =>
    assert.deepEqual(
      ["a", "b", "c"].map((key) => store.get(key)?.value),
      [1, undefined, 1],
    );
  store.dropRange("b", "c");
  check();
  store.takeChangelog();
  check();
  store.committed(undefined);
  check();
});
