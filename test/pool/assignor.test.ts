import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { type AssignableMember, assignTasks } from "../../runtime/pool/assignor.ts";

const tasks = (count: number): { id: string }[] => Array.from({ length: count }, (_, i) => ({ id: `0_${i}` }));
const member = (id: string, owned: readonly string[] = [], capacity = 1): AssignableMember => ({ id, owned, capacity });

describe("assignor", () => {
  test("one member gets everything, in order", () => {
    assert.deepEqual(
      assignTasks(tasks(12), [member("a")]).get("a"),
      tasks(12).map(({ id }) => id),
    );
  });

  test("a second member takes half, and the first keeps what it can", () => {
    const first = assignTasks(tasks(4), [member("a")]).get("a") ?? [];
    const both = assignTasks(tasks(4), [member("a", first), member("b")]);
    assert.deepEqual(
      [both.get("a"), both.get("b")],
      [
        ["0_0", "0_1"],
        ["0_2", "0_3"],
      ],
    );
    const after = assignTasks(tasks(4), [member("b", both.get("b")), member("c", []), member("a", both.get("a"))]);
    assert.deepEqual([after.get("a"), after.get("b")?.length, after.get("c")?.length], [["0_0", "0_1"], 1, 1]);
  });

  test("by capacity", () => {
    const assigned = assignTasks(tasks(9), [member("a", [], 2), member("b", [], 1)]);
    assert.deepEqual([assigned.get("a")?.length, assigned.get("b")?.length], [6, 3]);
  });

  test("every task once, balanced, the same in any order, and nothing moves when nothing changes", () => {
    const anyMembers = fc.uniqueArray(
      fc.record({
        id: fc.string({ minLength: 1, maxLength: 4 }),
        capacity: fc.integer({ min: 1, max: 4 }),
        owned: fc.array(
          fc.integer({ min: 0, max: 40 }).map((i) => `0_${i}`),
          { maxLength: 20 },
        ),
      }),
      {
        selector: ({ id }) => id,
        minLength: 1,
        maxLength: 7,
      },
    );
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 40 }), anyMembers, (count, members) => {
        const assigned = assignTasks(tasks(count), members);
        assert.deepEqual(
          [...assigned.values()].flat().sort(),
          tasks(count)
            .map(({ id }) => id)
            .sort(),
        );
        const capacity = members.reduce((sum, one) => sum + one.capacity, 0);
        for (const one of members)
          assert.ok(Math.abs((assigned.get(one.id)?.length ?? 0) - (count * one.capacity) / capacity) < 1, "within one task of its share");
        assert.deepEqual(assignTasks(tasks(count).reverse(), [...members].reverse()), assigned);
        assert.deepEqual(
          assignTasks(
            tasks(count),
            members.map((one) => ({ ...one, owned: assigned.get(one.id) ?? [] })),
          ),
          assigned,
        );
      }),
      { numRuns: 300 },
    );
  });
});
