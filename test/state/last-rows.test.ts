import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { BatchBuilder, decodeBatches } from "../../runtime/log/record-batch.ts";
import { lastRows } from "../../runtime/state/last-rows.ts";
import { seed } from "./seed.ts";

const bytes = (max: number) => fc.uint8Array({ minLength: 1, maxLength: max });
const keys = fc.oneof(
  fc.array(fc.option(bytes(3)), { maxLength: 60 }),
  // A long common beginning, keys that begin other keys, zero bytes at the end.
  fc
    .tuple(bytes(6), fc.array(fc.array(fc.constantFrom(0, 1, 255), { maxLength: 8 }), { maxLength: 60 }))
    .map(([common, tails]) => tails.map((tail) => Uint8Array.from([...common, ...tail]))),
);

test("the last row of each key, in the order of the keys' bytes", () => {
  fc.assert(
    fc.property(keys, fc.nat(20), (all, skipped) => {
      const builder = new BatchBuilder();
      for (const key of all) builder.append(key, Buffer.from("v"), 1);
      const batch = decodeBatches(all.length === 0 ? Buffer.alloc(0) : builder.finish());
      const first = Math.min(skipped, all.length);
      const last = new Map<string, number>();
      for (const [row, key] of all.entries()) if (row >= first && key !== null) last.set(Buffer.from(key).toString("hex"), row);
      const expected = [...last].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
      assert.deepEqual(lastRows(batch, first), expected);
    }),
    { seed: seed(), numRuns: 2_000 },
  );
});
