import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Doorkeeper } from "../../runtime/state/doorkeeper.ts";
import { textHash } from "../../runtime/state/text-hash.ts";
import { seed } from "./seed.ts";

const LEAST = 1_024;

test("a key that was among the last ones is always known, one that came never or long ago seldom", () => {
  fc.assert(
    fc.property(fc.nat(), fc.constantFrom(0, LEAST, 5_000), fc.nat({ max: 2 ** 15 }), (run, keys, before) => {
      const door = new Doorkeeper();
      const among = Math.max(LEAST, keys);
      let next = 0;
      const others = (count: number): number => {
        let known = 0;
        for (let i = 0; i < count; i++) if (door.seen(textHash(`${run}/${next++}`), keys)) known++;
        return known;
      };
      // One in eight at the worst, when both generations are full.
      const few = (count: number): number => count / 6 + 20;
      assert.ok(others(before) <= few(before), "keys that never came");
      const hash = textHash(`${run}/this one`);
      door.seen(hash, keys);
      others(among - 1);
      assert.equal(door.seen(hash, keys), true);
      let remembered = 0;
      for (let i = 0; i < 50; i++) door.seen(textHash(`${run}/old ${i}`), keys);
      // More than twice as many, as some of them are taken for known.
      others(2.5 * among + 50);
      for (let i = 0; i < 50; i++) if (door.seen(textHash(`${run}/old ${i}`), keys)) remembered++;
      assert.ok(remembered <= 15, `${remembered} of 50 are still known`);
    }),
    { seed: seed(), numRuns: 30 },
  );
});

test("the number of keys may change from one call to the next", () => {
  const door = new Doorkeeper();
  for (let i = 0; i < 50_000; i++) {
    const hash = textHash(`k${i}`);
    door.seen(hash, i % 7 === 0 ? 20_000 : 0);
    assert.equal(door.seen(hash, i % 5 === 0 ? 3_000 : 0), true);
  }
});
