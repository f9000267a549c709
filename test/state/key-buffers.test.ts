import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { KeyBuffers } from "../../runtime/state/key-buffers.ts";
import { seed } from "./seed.ts";

const key = fc.oneof(
  fc.string({ maxLength: 40 }),
  fc.constantFrom("", "é", "日本語", "😀", "aé", "a".repeat(32), "a".repeat(33), `${"a".repeat(31)}é`, "a".repeat(300)),
);

test("the bytes of each key, in Buffers used again", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.array(key, { maxLength: 20 }), fc.nat({ max: 1_100 })), { maxLength: 6 }), (reads) => {
      const buffers = new KeyBuffers();
      for (const [keys, more] of reads) {
        const all = [...keys, ...Array.from({ length: more }, (_, i) => `key ${i}`), ...keys];
        assert.deepEqual(
          buffers.of(all).map((bytes) => bytes.toString()),
          all.map((one) => Buffer.from(one).toString()),
        );
      }
    }),
    { seed: seed(), numRuns: 100 },
  );
});
