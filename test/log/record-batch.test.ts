import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { KeyfoldError } from "../../runtime/errors.ts";
import { crc32c } from "../../runtime/log/crc32c.ts";
import {
  BatchBuilder,
  countRecords,
  decodeBatches,
  keyBytes,
  keyText,
  NO_TIMESTAMP,
  type RecordBatch,
  valueBytes,
  valueText,
} from "../../runtime/log/record-batch.ts";

const seed = Number(process.env.KEYFOLD_SEED ?? 20261121);

interface Sample {
  readonly key: string | Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly timestamp: number;
  readonly headers: readonly (readonly [string, Uint8Array | null])[];
}

const bytes = fc.uint8Array({ maxLength: 40 });
const sample = fc.record<Sample>({
  key: fc.oneof(fc.string({ unit: "grapheme" }), fc.string({ maxLength: 200 }), bytes, fc.constant(null)),
  value: fc.oneof(bytes, fc.uint8Array({ minLength: 100, maxLength: 3000 }), fc.constant(null)),
  timestamp: fc.oneof(
    fc.integer({ min: 0, max: 5e12 }),
    fc.integer({ min: -1e12, max: -2 }),
    fc.constant(NO_TIMESTAMP),
    fc.constant(Number.MAX_SAFE_INTEGER),
  ),
  headers: fc.oneof(
    { weight: 4, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: fc.array(fc.tuple(fc.string({ unit: "grapheme" }), fc.option(bytes)), { maxLength: 4 }) },
  ),
});

function add(builder: BatchBuilder, { key, value, timestamp, headers }: Sample): void {
  builder.append(key, value, timestamp, headers);
}

const hex = (bytes: Uint8Array | null): string | null => (bytes === null ? null : Buffer.from(bytes).toString("hex"));

function written(samples: readonly Sample[]): unknown[] {
  return samples.map(({ key, value, timestamp, headers }, offset) => [
    offset,
    hex(typeof key === "string" ? Buffer.from(key) : key),
    hex(value),
    timestamp,
    headers.map(([name, value]) => [Buffer.from(name).toString(), hex(value)]),
  ]);
}

function read(batch: RecordBatch): unknown[] {
  return Array.from({ length: batch.length }, (_, i) => [
    batch.offsets[i],
    hex(keyBytes(batch, i)),
    hex(valueBytes(batch, i)),
    batch.timestamps[i],
    (batch.headers?.[i] ?? []).map(([name, value]) => [name, hex(value)]),
  ]);
}

test("what was appended is what is decoded, whatever the batch size", () => {
  fc.assert(
    fc.property(
      fc.array(sample, { maxLength: 60 }),
      fc.integer({ min: 1, max: 5000 }),
      fc.boolean(),
      fc.nat(70),
      (samples, maxBatchBytes, crc, from) => {
        const builder = new BatchBuilder({ maxBatchBytes, crc });
        for (const one of samples) add(builder, one);
        const data = builder.finish();
        assert.equal(builder.count, samples.length);
        assert.equal(builder.bytes, data.length);
        assert.equal(countRecords(data), samples.length);
        assert.deepEqual(read(decodeBatches(data, { verifyCrc: true })), written(samples));
        assert.deepEqual(read(decodeBatches(data, { from })), written(samples).slice(from));
      },
    ),
    { seed, numRuns: 300 },
  );
});

test("truncate forgets what came after the mark, and nothing else", () => {
  const step = fc.oneof(
    { weight: 18, arbitrary: sample.map((record) => ({ kind: "append" as const, record })) },
    { weight: 6, arbitrary: fc.constant({ kind: "mark" as const }) },
    { weight: 6, arbitrary: fc.nat(9).map((back) => ({ kind: "truncate" as const, back })) },
    { weight: 3, arbitrary: fc.constant({ kind: "finish" as const }) },
    { weight: 1, arbitrary: fc.constant({ kind: "reset" as const }) },
  ) as fc.Arbitrary<{ kind: "append"; record: Sample } | { kind: "truncate"; back: number } | { kind: "mark" | "finish" | "reset" }>;
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), fc.integer({ min: 60, max: 2000 }), (steps, maxBatchBytes) => {
      const builder = new BatchBuilder({ maxBatchBytes });
      let model: Sample[] = [];
      let marks: { mark: number; length: number }[] = [{ mark: builder.mark(), length: 0 }];
      for (const one of steps) {
        if (one.kind === "append") {
          add(builder, one.record);
          model.push(one.record);
        } else if (one.kind === "mark") marks.push({ mark: builder.mark(), length: model.length });
        else if (one.kind === "truncate") {
          const back = marks[Math.max(0, marks.length - 1 - one.back)];
          assert.ok(back !== undefined);
          builder.truncate(back.mark);
          model = model.slice(0, back.length);
          marks = marks.filter(({ length }) => length <= back.length);
        } else if (one.kind === "reset") {
          builder.reset();
          model = [];
          marks = [{ mark: builder.mark(), length: 0 }];
        } else assert.deepEqual(read(decodeBatches(builder.finish())), written(model));
        assert.equal(builder.count, model.length);
      }
      assert.deepEqual(read(decodeBatches(builder.finish())), written(model));
    }),
    { seed, numRuns: 300 },
  );
});

test("a timestamp dropped by truncate is not the batch's greatest any more", () => {
  const builder = new BatchBuilder();
  builder.append("a", null, 10);
  builder.append("b", null, 7);
  const mark = builder.mark();
  builder.append("c", null, 99);
  builder.truncate(mark);
  assert.equal(Buffer.from(builder.finish()).readBigInt64BE(35), 10n);
});

test("any bytes at all are decoded or refused as corrupt, never worse", () => {
  const builder = new BatchBuilder({ maxBatchBytes: 400 });
  for (let i = 0; i < 40; i++)
    builder.append(`key ${i}`, Buffer.alloc(i, i), 1_000_000 + i, i % 5 === 0 ? [["h", Buffer.from("v")]] : null);
  const good = builder.finish();
  const attempt = (data: Uint8Array): void => {
    try {
      const batch = decodeBatches(data);
      for (let i = 0; i < batch.length; i++) {
        assert.ok((batch.keyEnd[i] ?? 0) <= data.length && (batch.valueEnd[i] ?? 0) <= data.length);
        keyText(batch, i);
        valueText(batch, i);
      }
    } catch (error) {
      assert.ok(error instanceof KeyfoldError && error.code === "log-corrupt", String(error));
    }
  };
  for (let cut = 0; cut < good.length; cut++) attempt(good.subarray(0, cut));
  const change = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(change, (changes) => {
      const data = Buffer.from(good);
      for (const [at, value] of changes) data[at] = value;
      attempt(data);
    }),
    { seed, numRuns: 5000 },
  );
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), attempt), { seed, numRuns: 1000 });
});

test("a cut is told from an end", () => {
  const builder = new BatchBuilder();
  builder.append("a", Buffer.from("1"), 1);
  const one = builder.finish();
  assert.throws(() => decodeBatches(one.subarray(0, one.length - 1)), { code: "log-corrupt" });
  assert.throws(() => decodeBatches(Buffer.concat([one, one.subarray(0, 20)])), { code: "log-corrupt" });
  assert.equal(decodeBatches(new Uint8Array(0)).length, 0);
});

test("a changed byte does not pass the checksum", () => {
  const builder = new BatchBuilder({ crc: true });
  for (let i = 0; i < 20; i++) builder.append(`k${i}`, Buffer.from(`value ${i}`), i);
  const data = builder.finish();
  for (let at = 21; at < data.length; at++) {
    const changed = Buffer.from(data);
    changed[at] = (changed[at] ?? 0) ^ 0x10;
    assert.throws(() => decodeBatches(changed, { verifyCrc: true }), { code: "log-corrupt" });
  }
});

test("control batches are skipped, and log append time counts for every record", () => {
  const builder = new BatchBuilder();
  builder.append("a", null, 5);
  builder.append("b", null, 9);
  const control = Buffer.from(builder.finish());
  control[22] = 0x20;
  const stamped = Buffer.from(builder.finish());
  stamped[22] = 0x08;
  const batch = decodeBatches(Buffer.concat([control, stamped]));
  assert.deepEqual(
    read(batch).map((row) => (row as unknown[])[3]),
    [9, 9],
  );
});

test("CRC-32C has the published values", () => {
  assert.equal(crc32c(Buffer.from("123456789")), 0xe3069283);
  assert.equal(crc32c(new Uint8Array(0)), 0);
  // RFC 3720, B.4
  assert.equal(crc32c(Buffer.alloc(32)), 0x8a9136aa);
  assert.equal(crc32c(Buffer.alloc(32, 0xff)), 0x62a8ab43);
  assert.equal(crc32c(Buffer.from(Array.from({ length: 32 }, (_, i) => i))), 0x46dd794e);
  assert.equal(crc32c(Buffer.from(Array.from({ length: 32 }, (_, i) => 31 - i))), 0x113fdb5c);
  assert.equal(crc32c(Buffer.from("xx123456789x"), 2, 11), 0xe3069283);
});
