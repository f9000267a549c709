import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { BatchBuilder, decodeBatches } from "../../runtime/log/record-batch.ts";
import { LastWrites, lastRows } from "../../runtime/state/last-rows.ts";
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

test("the last write of each key, made one at a time: short ones in memory used again, long ones, empty ones and deletions", () => {
  const key = fc.oneof(fc.string({ maxLength: 4 }), fc.constantFrom("", "é", "日本", "k".repeat(256), "k".repeat(257), "k".repeat(1_000)));
  const size = fc.oneof(fc.nat({ max: 20 }), fc.constantFrom(0, 255, 256, 257, 5_000));
  fc.assert(
    fc.property(fc.array(fc.tuple(key, fc.option(size)), { maxLength: 60 }), fc.nat(20), fc.boolean(), (all, skipped, choosy) => {
      const builder = new BatchBuilder();
      const values = all.map(([, length], row) => (length === null ? null : Buffer.alloc(length, `${row};`)));
      for (const [row, [name]] of all.entries()) builder.append(name, values[row] ?? null, 1);
      const batch = decodeBatches(all.length === 0 ? Buffer.alloc(0) : builder.finish());
      const first = Math.min(skipped, all.length);
      const wanted = (name: string): boolean => !choosy || name.length % 2 === 0;
      const last = new Map<string, string | undefined>();
      for (const [row, [name]] of all.entries())
        if (row >= first && wanted(name)) last.set(Buffer.from(name).toString("hex"), values[row]?.toString("hex"));
      const writes = new LastWrites(batch, first, choosy ? (bytes) => wanted(Buffer.from(bytes).toString()) : undefined);
      // Two Buffers at a time, each good until the next write is asked for.
      const read = Array.from(writes, ({ key: k, value }) => [Buffer.from(k).toString("hex"), value && Buffer.from(value).toString("hex")]);
      assert.deepEqual(
        read,
        [...last].sort(([a], [b]) => (a < b ? -1 : 1)),
      );
      assert.equal(writes.length, last.size);
    }),
    { seed: seed(), numRuns: 500 },
  );
});
