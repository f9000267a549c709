import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { MISS, RowCache } from "../../runtime/state/row-cache.ts";
import { seed } from "./seed.ts";

const RING = 64 * 1024;
/** A few times around the ring. */
const PLACES = 40_000;

/** Many, so that their rows go around the ring and more than one shares a bucket. */
const key = fc.oneof(
  { weight: 8, arbitrary: fc.nat({ max: 2_000 }).map((n) => `k${n}`) },
  { weight: 4, arbitrary: fc.constantFrom("", "a", "aa", "b", "\u007f", "\u0000", "x".repeat(40), "y".repeat(3_000)) },
  { weight: 2, arbitrary: fc.constantFrom("é", "\u0080", "日本", "😀", "aé", "k1é") },
);
/** Above a sixteenth of the ring a value is not kept. */
const size = fc.oneof(
  { weight: 8, arbitrary: fc.nat({ max: 100 }) },
  { weight: 3, arbitrary: fc.integer({ min: 1_000, max: 4_000 }) },
  { weight: 1, arbitrary: fc.constantFrom(0, 5_000, RING, 2 * RING) },
);
const step = fc.oneof(
  { weight: 20, arbitrary: fc.record({ do: fc.constant("set" as const), key, size }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("delete" as const), key }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("find" as const), key }) },
  // One key many times, which must not leave older rows of itself or of others to be found.
  { weight: 2, arbitrary: fc.record({ do: fc.constant("fill" as const), first: fc.nat({ max: 2_000 }), count: fc.nat({ max: 300 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("clear" as const) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("mark" as const) }) },
);

function valueIn(cache: RowCache, row: number): Buffer | null {
  const from = cache.valueStart(row);
  return from === MISS ? null : cache.memory.subarray(from, cache.valueEnd(row));
}

test("a row that is found is the newest of its key, however often the ring goes around and its places are counted anew", () => {
  let found = 0;
  let missing = 0;
  let whole = 0;
  fc.assert(
    fc.property(fc.array(step, { maxLength: 150, size: "max" }), fc.constantFrom(undefined, PLACES), (steps, places) => {
      const cache = new RowCache(RING, places);
      const model = new Map<string, Buffer | null>();
      let writes = 0;
      // What was written from some place on.
      let since = new Set<string>();
      let place = 0;
      const set = (name: string, length: number): void => {
        // No two writes have the same bytes; they lie somewhere in a larger buffer, as encoded ones do.
        const value = Buffer.alloc(length, `${++writes};`);
        cache.set(name, Buffer.concat([Buffer.from("<<"), value, Buffer.from(">>")]), 2, 2 + length);
        model.set(name, value);
        since.add(name);
      };
      const check = (name: string): void => {
        const row = cache.find(name);
        if (cache.holdsSince(place)) {
          whole++;
          assert.ok(row !== MISS || !since.has(name), `${name} was written since and is not there`);
        }
        if (row === MISS) {
          if (model.has(name)) missing++;
          return;
        }
        found++;
        assert.ok(model.has(name), `${name} was not written since the cache was cleared`);
        assert.deepEqual(valueIn(cache, row), model.get(name));
      };
      for (const one of steps) {
        if (one.do === "set") set(one.key, one.size);
        else if (one.do === "delete") {
          cache.set(one.key, null, 0, 0);
          model.set(one.key, null);
          since.add(one.key);
        } else if (one.do === "mark") {
          since = new Set();
          ({ place } = cache);
        } else if (one.do === "fill") {
          for (let i = 0; i < one.count; i++) set(`k${(one.first + i) % 2_000}`, 10 + (i % 60));
        } else if (one.do === "clear") {
          cache.clear();
          model.clear();
          if (since.size > 0) assert.equal(cache.holdsSince(place), false);
        } else check(one.key);
        if (one.do === "set" || one.do === "delete") check(one.key);
      }
      for (const name of model.keys()) check(name);
    }),
    { seed: seed(), numRuns: 100 },
  );
  assert.ok(found > 1_000 && missing > 100 && whole > 1_000, `${found} found, ${missing} missing, ${whole} while all was there`);
});

test("what was written last is there, if its key is ASCII and its value not large", () => {
  const cache = new RowCache(RING);
  for (let i = 0; i < 10_000; i++) {
    const value = Buffer.from(`value ${i}`);
    cache.set(`k${i}`, value, 0, value.length);
    assert.deepEqual(valueIn(cache, cache.find(`k${i}`)), value);
  }
  cache.set("", Buffer.alloc(0), 0, 0);
  assert.equal(valueIn(cache, cache.find(""))?.length, 0);
  cache.set("", null, 0, 0);
  assert.equal(valueIn(cache, cache.find("")), null);
  for (const [name, length] of [
    ["é", 1],
    ["large", RING],
  ] as const) {
    cache.set(name, Buffer.alloc(length), 0, length);
    assert.equal(cache.find(name), MISS);
  }
});

test("a value that is not kept takes away the one before it", () => {
  const cache = new RowCache(RING);
  cache.set("a", Buffer.from("small"), 0, 5);
  cache.set("a", Buffer.alloc(RING), 0, RING);
  assert.equal(cache.find("a"), MISS);
});

test("what was written since a place is not all there any more once the ring has gone around, a bucket was full, or its places are counted anew", () => {
  const marked = (places?: number): { cache: RowCache; place: number; write: (name: string, bytes: number) => void } => {
    const cache = new RowCache(RING, places);
    const write = (name: string, bytes: number): void => cache.set(name, Buffer.alloc(bytes), 0, bytes);
    write("before", 10);
    const { place } = cache;
    write("a", 10);
    assert.equal(cache.holdsSince(place), true);
    return { cache, place, write };
  };
  const around = marked();
  for (let i = 0; i < 60; i++) around.write(`k${i}`, 1_000);
  assert.equal(around.cache.find("a"), MISS);
  assert.equal(around.cache.holdsSince(around.place), false);

  const full = marked();
  for (let i = 0; full.cache.find("a") !== MISS; i++) full.write(`k${i}`, 1);
  assert.equal(full.cache.holdsSince(full.place), false);

  const anew = marked(PLACES);
  while (anew.cache.place < PLACES - 20_000) anew.write("b", 1_000);
  const { place } = anew.cache;
  anew.write("a", 10);
  while (anew.cache.place >= place) anew.write("b", 1_000);
  assert.equal(anew.cache.holdsSince(place), false);
});
