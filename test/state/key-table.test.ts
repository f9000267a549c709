import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { KeyTable, NO_CELL } from "../../runtime/state/key-table.ts";
import { seed } from "./seed.ts";

/** Of an empty table: hashes that far apart have the same home. */
const CELLS = 256;

/** Few homes, next to one another and around the end, each of several hashes, also negative ones. */
const hash = fc
  .tuple(fc.constantFrom(-2, -1, 0, 1, 2, 3, 127, 128), fc.constantFrom(0, 1, 2, -1, 2 ** 22))
  .map(([home, round]) => (home + round * CELLS) | 0);
const step = fc.oneof(
  { weight: 12, arbitrary: fc.record({ do: fc.constant("insert" as const), hash }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant("remove" as const), at: fc.nat() }) },
  // Beyond half of the cells, the table grows.
  { weight: 1, arbitrary: fc.record({ do: fc.constant("fill" as const), first: fc.integer(), count: fc.nat({ max: 200 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("clear" as const) }) },
);

function entriesOf(table: KeyTable, wanted: number): number[] {
  const found: number[] = [];
  for (let cell = table.seek(wanted); cell !== NO_CELL; cell = table.next(cell, wanted)) found.push(table.entryAt(cell));
  return found.sort((a, b) => a - b);
}

function cellOf(table: KeyTable, wanted: number, entry: number): number {
  let cell = table.seek(wanted);
  while (cell !== NO_CELL && table.entryAt(cell) !== entry) cell = table.next(cell, wanted);
  return cell;
}

test("every entry is found by its hash, once, and none that was removed", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120, size: "max" }), (steps) => {
      const table = new KeyTable();
      const model = new Map<number, number>();
      let next = 0;
      const insert = (of: number): void => {
        table.insert(of, next);
        model.set(next++, of);
      };
      const check = (): void => {
        const byHash = new Map<number, number[]>([[7, []]]);
        for (const [entry, of] of model) byHash.set(of, [...(byHash.get(of) ?? []), entry]);
        for (const [of, entries] of byHash) assert.deepEqual(entriesOf(table, of), entries);
        assert.equal(table.size, model.size);
        assert.deepEqual(
          [...table.entries()].sort((a, b) => a - b),
          [...model.keys()],
        );
      };
      for (const one of steps) {
        if (one.do === "insert") insert(one.hash);
        else if (one.do === "fill") for (let i = 0; i < one.count; i++) insert(Math.imul(one.first + i, 8) | 0);
        else if (one.do === "clear") {
          table.clear();
          model.clear();
        } else if (model.size > 0) {
          const [entry, of] = [...model][one.at % model.size] as [number, number];
          table.remove(cellOf(table, of, entry));
          model.delete(entry);
          assert.equal(cellOf(table, of, entry), NO_CELL);
        }
        if (one.do !== "fill") check();
      }
      check();
    }),
    { seed: seed(), numRuns: 200 },
  );
});

test("a table that was large is empty after a clear, and takes entries again", () => {
  const table = new KeyTable();
  // In a row they would be one long run of cells.
  const scattered = (i: number): number => Math.imul(i, 0x9e3779b1);
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 100_000; i++) table.insert(scattered(i % 50_000), i);
    assert.deepEqual(entriesOf(table, scattered(49_999)), [49_999, 99_999]);
    assert.equal(table.size, 100_000);
    table.clear();
    assert.equal(table.size, 0);
    assert.equal(table.seek(scattered(49_999)), NO_CELL);
    assert.deepEqual([...table.entries()], []);
  }
});
