import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import fc from "fast-check";
import { COMPRESSION_NAMES, type Compression, compress, decompress } from "../../../runtime/log/kafka/compression/compression.ts";

const KINDS = (["gzip", "snappy", "lz4", "zstd"] as const).filter((kind) => kind !== "zstd" || "zlib" in process.versions);

function roundTrip(kind: Compression, bytes: Buffer): Buffer {
  return decompress(COMPRESSION_NAMES.indexOf(kind), compress(kind, bytes));
}

/** Text with repetitions near and far, as records have. */
const repetitive = fc
  .array(
    fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc
        .tuple(fc.uint8Array({ minLength: 1, maxLength: 6 }), fc.integer({ min: 1, max: 400 }))
        .map(([bytes, times]) => Buffer.concat(new Array<Uint8Array>(times).fill(bytes))),
    ),
    { maxLength: 60 },
  )
  .map((parts) => Buffer.concat(parts));

describe("compression", () => {
  for (const kind of KINDS) {
    test(`${kind}: what goes in comes out`, () => {
      fc.assert(
        fc.property(repetitive, (bytes) => {
          assert.deepEqual(roundTrip(kind, bytes), bytes);
        }),
        { numRuns: 100 },
      );
    });

    test(`${kind}: sizes around the blocks, random and uniform bytes`, () => {
      for (const size of [0, 1, 11, 12, 13, 32_767, 32_768, 65_535, 65_536, 65_537, 300_000]) {
        assert.ok(roundTrip(kind, Buffer.alloc(size, "a")).equals(Buffer.alloc(size, "a")), `${size} uniform bytes`);
        const random = randomBytes(size);
        assert.ok(roundTrip(kind, random).equals(random), `${size} random bytes`);
      }
    });

    test(`${kind}: damaged bytes are an error, or other bytes, never a crash or a hang`, () => {
      const good = compress(kind, Buffer.from("keyfold ".repeat(2000)));
      fc.assert(
        fc.property(fc.integer({ min: 0, max: good.length - 1 }), fc.integer({ min: 1, max: 255 }), fc.boolean(), (at, change, cut) => {
          const bad = Buffer.from(good);
          bad[at] = (bad[at] as number) ^ change;
          try {
            assert.ok(decompress(COMPRESSION_NAMES.indexOf(kind), cut ? bad.subarray(0, at) : bad).length < 64 * 1024 * 1024);
          } catch (thrown) {
            assert.ok(thrown instanceof Error);
          }
        }),
        { numRuns: 300 },
      );
    });
  }

  test("repetitive records shrink", () => {
    const bytes = Buffer.from(Array.from({ length: 1000 }, (_, i) => `{"user":"user-${i % 50}","action":"add","sku":"sku-${i}"}`).join(""));
    for (const kind of KINDS) assert.ok(compress(kind, bytes).length < bytes.length / 3, kind);
  });
});
