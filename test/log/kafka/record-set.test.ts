import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { KeyfoldError } from "../../../runtime/errors.ts";
import { setBaseOffset } from "../../../runtime/log/batch-header.ts";
import type { Compression } from "../../../runtime/log/kafka/compression/compression.ts";
import { type Stamp, unitsOf, writeUnit } from "../../../runtime/log/kafka/outgoing.ts";
import { readRecordSet } from "../../../runtime/log/kafka/record-set.ts";
import { Reader, Writer } from "../../../runtime/log/kafka/wire.ts";
import { decodeBatches, keyText } from "../../../runtime/log/record-batch.ts";
import { outBatch } from "../helpers.ts";

const WHERE = { topic: "t", partition: 0 };

/** Batches as a broker would keep them. */
function stored(keys: readonly string[][], options: Partial<Stamp> = {}): Buffer {
  let offset = 0;
  const parts = keys.map((some) => {
    const writer = new Writer();
    const [unit] = unitsOf(
      outBatch(
        "t",
        0,
        some.map((key) => [key, "value".repeat(20)] as const),
      ),
    );
    assert.ok(unit);
    writeUnit(writer, unit, { identity: { id: 7, epoch: 1 }, sequence: 0, transactional: false, compression: "none", now: 0, ...options });
    const batch = Buffer.from(writer.view());
    setBaseOffset(batch, 0, offset);
    offset += unit.count;
    return batch;
  });
  return Buffer.concat(parts);
}

function keys(data: Buffer): (string | null)[] {
  const batch = decodeBatches(data, { verifyCrc: true });
  return Array.from({ length: batch.length }, (_, i) => keyText(batch, i));
}

describe("record sets", () => {
  test("whole plain batches are passed on as they are, without a copy; the cut-off last one waits", () => {
    const raw = stored([["a", "b"], ["c"], ["d", "e"]]);
    const { data, next } = readRecordSet(raw, [], WHERE);
    assert.deepEqual([keys(data), next], [["a", "b", "c", "d", "e"], 5]);
    assert.equal(data.buffer, raw.buffer);
    for (const cut of [1, 40, 200]) {
      const less = readRecordSet(raw.subarray(0, raw.length - cut), [], WHERE);
      assert.deepEqual([keys(less.data), less.next], [["a", "b", "c"], 3]);
    }
    assert.deepEqual(readRecordSet(raw.subarray(0, 30), [], WHERE).next, undefined);
  });

  for (const compression of ["gzip", "snappy", "lz4"] as const satisfies readonly Compression[]) {
    test(`${compression} batches are unpacked`, () => {
      const many = Array.from({ length: 50 }, (_, i) => `key-${i}`);
      const { data, next } = readRecordSet(stored([many, ["x"]], { compression }), [], WHERE);
      assert.deepEqual([keys(data), next], [[...many, "x"], 51]);
    });
  }

  test("batches of aborted transactions are left out, those of others and of later ones are not", () => {
    const raw = stored([["a"], ["b"], ["c"]], { transactional: true });
    assert.deepEqual(keys(readRecordSet(raw, [{ producerId: 7, firstOffset: 1 }], WHERE).data), ["a"]);
    assert.deepEqual(keys(readRecordSet(raw, [{ producerId: 8, firstOffset: 0 }], WHERE).data), ["a", "b", "c"]);
    assert.equal(readRecordSet(raw, [{ producerId: 7, firstOffset: 0 }], WHERE).next, 3);
    assert.deepEqual(keys(readRecordSet(stored([["plain"]]), [{ producerId: 7, firstOffset: 0 }], WHERE).data), ["plain"]);
  });

  test("any damage is found, and names the place", () => {
    const raw = stored([["a", "b"], ["c"]]);
    fc.assert(
      fc.property(fc.integer({ min: 17, max: raw.length / 2 }), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const bad = Buffer.from(raw);
        bad[at] = (bad[at] as number) ^ change;
        assert.throws(
          () => readRecordSet(bad, [], WHERE),
          (thrown) => thrown instanceof KeyfoldError && thrown.code === "log-corrupt",
        );
      }),
      { numRuns: 300 },
    );
  });

  test("garbage is an error or nothing, never a hang", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        try {
          readRecordSet(Buffer.from(bytes), [{ producerId: 1, firstOffset: 0 }], WHERE);
        } catch (thrown) {
          assert.ok(thrown instanceof KeyfoldError, String(thrown));
        }
      }),
      { numRuns: 500 },
    );
  });

  test("what compresses badly is sent as it is", () => {
    const [unit] = unitsOf(outBatch("t", 0, [["a", null]]));
    assert.ok(unit);
    const writer = new Writer();
    writeUnit(writer, unit, { identity: { id: 7, epoch: 1 }, sequence: 0, transactional: false, compression: "gzip", now: 0 });
    assert.equal(writer.view().readInt16BE(21) & 7, 0);
    assert.deepEqual(keys(readRecordSet(Buffer.from(writer.view()), [], WHERE).data), ["a"]);
  });
});

describe("wire format", () => {
  test("what is written is read", () => {
    const int64 = fc.integer({ min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER });
    const value = fc.record({
      a: fc.integer({ min: -128, max: 127 }),
      b: fc.integer({ min: -32768, max: 32767 }),
      c: fc.integer(),
      d: int64,
      e: fc.nat(),
      f: fc.option(fc.string({ unit: "binary", maxLength: 50 })),
      g: fc.array(int64, { maxLength: 20 }),
    });
    fc.assert(
      fc.property(value, ({ a, b, c, d, e, f, g }) => {
        const writer = new Writer(1)
          .int8(a)
          .int16(b)
          .int32(c)
          .int64(d)
          .uvarint(e)
          .string(f)
          .compactString(f)
          .bytes(Buffer.from("x"))
          .bytes(null);
        writer
          .array(g, (w, one) => w.int64(one))
          .compactArray(g, (w, one) => w.int64(one))
          .tags();
        const r = new Reader(writer.view());
        assert.deepEqual(
          [r.int8(), r.int16(), r.int32(), r.int64(), r.uvarint(), r.string(), r.compactString(), r.bytes()?.toString(), r.bytes()],
          [a, b, c, d, e, f, f, "x", null],
        );
        assert.deepEqual([r.array(() => r.int64()), r.compactArray(() => r.int64())], [g, g]);
        r.tags();
        assert.throws(() => r.int8(), RangeError);
      }),
    );
  });
});
