import assert from "node:assert/strict";
import { test } from "node:test";
import { MISS, RowCache } from "../../runtime/state/row-cache.ts";
import { StagedWrites } from "../../runtime/state/staged-writes.ts";
import { textHash } from "../../runtime/state/text-hash.ts";
import { WorkingSet } from "../../runtime/state/working-set.ts";

/** Pairs of keys of one length with the same hash. */
function pairs(): [string, string][] {
  const seen = new Map<number, string>();
  const found: [string, string][] = [];
  for (let i = 0; found.length < 5; i++) {
    assert.ok(i < 1_000_000, "the hash has too few collisions to be one of 32 bits");
    const key = `key-${String(i).padStart(7, "0")}`;
    const other = seen.get(textHash(key));
    if (other !== undefined) found.push([other, key]);
    else seen.set(textHash(key), key);
  }
  return found;
}

test("keys of the same hash are told apart", () => {
  const cache = new RowCache(64 * 1024);
  const working = new WorkingSet();
  const staged = new StagedWrites();
  staged.drop("x", "y");
  const all = pairs();
  for (const [first, second] of all) {
    assert.equal(textHash(first), textHash(second));
    const value = Buffer.from(first);
    cache.set(first, value, 0, value.length);
    working.add(first, { value: first, timestamp: 1 });
    staged.set(first, value, 0, value.length, 1);
    assert.equal(cache.find(second), MISS);
    assert.equal(working.find(second), -1);
    assert.equal(staged.get(second), undefined);
  }
  for (const [, second] of all) {
    const value = Buffer.from(second);
    cache.set(second, value, 0, value.length);
    working.add(second, { value: second, timestamp: 1 });
    staged.set(second, value, 0, value.length, 1);
  }
  for (const key of all.flat()) {
    const row = cache.find(key);
    assert.equal(cache.memory.toString("utf8", cache.valueStart(row), cache.valueEnd(row)), key);
    assert.equal(working.valueOf(working.find(key)), key);
    assert.equal(Buffer.from(staged.get(key) ?? []).toString(), key);
  }
});
