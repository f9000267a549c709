import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Stamped } from "../../runtime/state/store.ts";
import { NO_ROW, WorkingSet } from "../../runtime/state/working-set.ts";
import { seed } from "./seed.ts";

interface Row {
  entry: Stamped | undefined;
  dirty: boolean;
  /** The layer below has it. */
  exists: boolean;
}

const key = fc.oneof(
  fc.nat({ max: 20 }).map((n) => `k${n}`),
  fc.constantFrom("", "é", "😀", "a".repeat(50)),
);
const entry = fc.option(fc.record({ value: fc.oneof(fc.integer(), fc.constant(null), fc.string()), timestamp: fc.integer({ min: -1 }) }), {
  nil: undefined,
});
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant("add" as const), key, entry }) },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant("update" as const), key, value: fc.option(fc.nat(), { nil: undefined }), at: fc.nat() }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("take" as const), key }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("settle" as const), key }) },
  // Beyond its first size, and twice that.
  { weight: 1, arbitrary: fc.record({ do: fc.constant("many" as const), first: fc.nat(1_000), count: fc.nat(700) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("clear" as const) }) },
);

test("agrees with a plain map, taken keys added again and tables that have grown included", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: "max" }), (steps) => {
      const working = new WorkingSet();
      const model = new Map<string, Row>();
      const add = (name: string, entry: Stamped | undefined): void => {
        // Only what is not there is read.
        if (model.has(name)) return;
        working.add(name, entry);
        model.set(name, { entry: entry && { ...entry }, dirty: false, exists: entry !== undefined });
      };
      for (const one of steps) {
        if (one.do === "add") add(one.key, one.entry);
        else if (one.do === "many") for (let i = 0; i < one.count; i++) add(`many${one.first + i}`, { value: i, timestamp: i });
        else if (one.do === "clear") {
          working.clear();
          model.clear();
        } else {
          const row = working.find(one.key);
          const there = model.get(one.key);
          assert.equal(row === NO_ROW, there === undefined);
          if (there === undefined) continue;
          if (one.do === "update") {
            working.update(row, one.value, one.at);
            there.entry = one.value === undefined ? undefined : { value: one.value, timestamp: one.at };
            there.dirty = true;
            assert.equal(working.timestampOf(row), one.at, "a deletion has its time too");
          } else if (one.do === "take") {
            assert.deepEqual(working.take(row), there.entry);
            model.delete(one.key);
            assert.ok(working.isTaken(row));
          } else {
            working.settle(row);
            if (there.dirty) there.exists = there.entry !== undefined;
            there.dirty = false;
          }
        }
        assert.equal(working.dirty, [...model.values()].filter(({ dirty }) => dirty).length);
      }
      for (const [name, { entry, dirty, exists }] of model) {
        const row = working.find(name);
        assert.equal(working.keyOf(row), name);
        assert.deepEqual(working.entryOf(row), entry);
        assert.equal(working.valueOf(row), entry?.value);
        assert.equal(working.isDirty(row), dirty);
        assert.equal(working.exists(row), exists);
        assert.equal(working.growthOf(row), (entry === undefined ? 0 : 1) - (exists ? 1 : 0));
      }
      let live = 0;
      for (let row = 0; row < working.size; row++) if (!working.isTaken(row)) live++;
      assert.equal(live, model.size);
      assert.equal(working.find("never added"), NO_ROW);
    }),
    { seed: seed(), numRuns: 300 },
  );
});
