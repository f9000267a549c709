import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeBatches, keyText, valueText } from "../../runtime/log/record-batch.ts";
import { StagedWrites } from "../../runtime/state/staged-writes.ts";
import { seed } from "./seed.ts";

const text = (bytes: Uint8Array | null | undefined): string | null | undefined =>
  bytes instanceof Uint8Array ? Buffer.from(bytes).toString() : bytes;

function set(staged: StagedWrites, key: string, value: string | null): void {
  // The value lies somewhere in a larger buffer, as an encoded one does.
  const bytes = value === null ? null : Buffer.from(`<<${value}>>`);
  staged.set(key, bytes, 2, bytes === null ? 2 : bytes.length - 2, 5);
}

const written = (staged: StagedWrites): [string, string | null][] =>
  Array.from(staged.writes(), ({ key, value }) => [Buffer.from(key).toString(), text(value ?? null) as string | null]);

/** Order of UTF-8 bytes. */
const byBytes = (a: [string, unknown], b: [string, unknown]): number => Buffer.compare(Buffer.from(a[0]), Buffer.from(b[0]));

const key = fc.constantFrom(
  "",
  "a",
  "ab",
  "b",
  "ä",
  "日本",
  "\u{1f600}",
  "\uffee",
  "key-with-a-common-start-1",
  "key-with-a-common-start-2",
);
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant("set" as const), key, value: fc.option(fc.string({ maxLength: 200 })) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("drop" as const), from: key, to: key }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("read" as const), key }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("absorb" as const) }) },
);

test("reads, ranges and what goes to the engine are those of a plain map, whenever the index is made", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const staged = new StagedWrites(300);
      let later: StagedWrites | undefined;
      const model = new Map<string, string | null>();
      const settle = (): void => {
        if (later !== undefined) staged.absorb(later);
        later = undefined;
      };
      for (const one of steps) {
        if (one.do === "absorb") {
          settle();
          later = new StagedWrites();
        } else if (one.do === "set") {
          set(later ?? staged, one.key, one.value);
          model.set(one.key, one.value);
        } else if (one.do === "drop") {
          (later ?? staged).drop(one.from, one.to);
          for (const name of model.keys())
            if (byBytes([name, 0], [one.from, 0]) >= 0 && byBytes([name, 0], [one.to, 0]) < 0) model.delete(name);
        } else {
          settle();
          assert.equal(text(staged.get(one.key)), model.get(one.key));
        }
      }
      settle();
      const expected = [...model].sort(byBytes);
      assert.deepEqual(written(staged), expected);
      assert.deepEqual(
        staged.range(undefined, undefined, false).map(([name, value]) => [name, text(value ?? null)]),
        expected,
      );
      staged.clear();
      assert.deepEqual([staged.empty, staged.bytes, written(staged)], [true, 0, []]);
    }),
    { seed: seed(), numRuns: 300 },
  );
});

test("the changelog has every write in its order, overwritten and dropped ones too", () => {
  const staged = new StagedWrites();
  set(staged, "b", "1");
  set(staged, "a", "2");
  set(staged, "b", null);
  staged.drop("a", "b");
  const { data, count } = staged.changelog() ?? assert.fail("nothing");
  const batch = decodeBatches(data);
  assert.equal(count, 3);
  assert.deepEqual(
    Array.from({ length: batch.length }, (_, row) => [keyText(batch, row), valueText(batch, row), batch.timestamps[row]]),
    [
      ["b", "1", 5],
      ["a", "2", 5],
      ["b", null, 5],
    ],
  );
  assert.deepEqual(written(staged), [["b", null]]);
});

test("thousands of keys, written again, dropped and forgotten: the index grows, and begins anew", () => {
  const staged = new StagedWrites(10_000);
  for (const count of [300, 20_000, 1_000, 70_000, 500]) {
    const model = new Map<string, string | null>();
    const put = (key: string, value: string | null): void => {
      set(staged, key, value);
      model.set(key, value);
    };
    const name = (i: number): string => (i % 10 === 0 ? `ké${i}` : `k${i}`);
    for (let i = 0; i < count / 2; i++) put(name(i), `first ${i}`);
    staged.drop("k2", "k4");
    for (const key of model.keys()) if (byBytes([key, 0], ["k2", 0]) >= 0 && byBytes([key, 0], ["k4", 0]) < 0) model.delete(key);
    for (let i = 0; i < count; i++) if (i % 3 > 0) put(name(i), i % 7 === 0 ? null : `second ${i}`);
    for (let i = 0; i < count; i++) assert.equal(text(staged.get(name(i))), model.get(name(i)));
    assert.deepEqual(written(staged), [...model].sort(byBytes));
    staged.clear();
    for (let i = 0; i < count; i++) assert.equal(staged.get(name(i)), undefined);
  }
});
