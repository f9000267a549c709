import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { compareUtf8, prefixEnd, SortedKeys, sortUtf8 } from "../../runtime/state/sorted-keys.ts";
import { seed } from "./seed.ts";

const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));
const text = fc.string({
  unit: fc.oneof(
    fc.constantFrom("a", "b", "\u007f", "\u0080", "\ud7ff", "\ue000", "\uffff", "\u{10000}", "\u{10ffff}"),
    fc.string({ unit: "binary", minLength: 1, maxLength: 1 }),
  ),
  maxLength: 5,
});

test("strings are compared and sorted as their UTF-8 bytes are", () => {
  fc.assert(
    fc.property(text, text, (a, b) => assert.equal(Math.sign(compareUtf8(a, b)), byBytes(a, b))),
    { numRuns: 2_000, seed: seed() },
  );
  fc.assert(
    fc.property(fc.array(text, { maxLength: 20 }), (keys) => assert.deepEqual(sortUtf8([...keys]), [...keys].sort(byBytes))),
    { seed: seed() },
  );
});

test("a prefix's end is above all strings with the prefix, and below all others above it", () => {
  fc.assert(
    fc.property(text, text, (prefix, other) => {
      const end = prefixEnd(prefix);
      const inside = byBytes(other, prefix) >= 0 && (end === undefined || byBytes(other, end) < 0);
      assert.equal(inside, other.startsWith(prefix));
      const longer = prefix + other;
      assert.ok(end === undefined || byBytes(longer, end) < 0);
    }),
    { numRuns: 2_000, seed: seed() },
  );
});

test("sorted keys agree with a sorted array, over many blocks", () => {
  const keys = new SortedKeys(compareUtf8);
  const model = new Set<string>();
  keys.fill([]);
  let random = 12_345;
  const next = (): number => (random = (random * 1_103_515_245 + 12_345) % 2 ** 31);
  for (let i = 0; i < 6_000; i++) {
    const key = `k${next() % 3_000}`;
    if (next() % 3 === 0) {
      if (model.delete(key)) keys.remove(key);
    } else if (!model.has(key)) {
      model.add(key);
      keys.add(key);
    }
    if (i % 500 !== 0) continue;
    const [from, to] = [`k${next() % 3_000}`, `k${next() % 3_000}`];
    const expected = [...model].filter((k) => k >= from && k < to).sort();
    assert.deepEqual([...keys.range(from, to, false)], expected);
    assert.deepEqual([...keys.range(from, to, true)], expected.reverse());
    assert.deepEqual([...keys.range(undefined, undefined, true)], [...model].sort().reverse());
  }
});
