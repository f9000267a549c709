import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { mayMove, moved, type TaskState } from "../../runtime/task/states.ts";

const STATES: readonly TaskState[] = ["CREATED", "RESTORING", "RUNNING", "PAUSED", "SUSPENDED", "FAILED", "CLOSED"];

/** What happens to a task, and the states that it goes through then. */
const HAPPENINGS: Readonly<Record<string, readonly TaskState[]>> = {
  assigned: ["RESTORING"],
  restored: ["RUNNING"],
  "retry due later": ["PAUSED"],
  "retry due": ["RUNNING"],
  "store corrupt": ["PAUSED", "RESTORING"],
  "could not be opened again": ["PAUSED"],
  failed: ["FAILED"],
  revoked: ["SUSPENDED", "CLOSED"],
};

describe("the states of a task", () => {
  test("a move that the table does not have says so; one that it has is made", () => {
    for (const from of STATES) {
      for (const to of STATES) {
        if (mayMove(from, to)) assert.equal(moved("0_0", from, to), to);
        else assert.throws(() => moved("0_0", from, to), { code: "internal", message: `task 0_0: no transition from ${from} to ${to}` });
      }
    }
  });

  test("nothing leaves CLOSED, and only CLOSED follows FAILED", () => {
    for (const to of STATES) {
      assert.equal(mayMove("CLOSED", to), false);
      assert.equal(mayMove("FAILED", to), to === "CLOSED");
    }
  });

  test("whatever happens in whatever order, a task can always be closed, and runs only after it was restored", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...Object.keys(HAPPENINGS)), { maxLength: 40 }), (happenings) => {
        let state: TaskState = "CREATED";
        let restored = false;
        for (const happening of happenings) {
          for (const next of HAPPENINGS[happening] ?? []) {
            if (!mayMove(state, next)) continue;
            if (next === "RUNNING") assert.ok(restored || state === "RESTORING" || state === "PAUSED");
            if (state === "RESTORING" && next === "RUNNING") restored = true;
            state = moved("0_0", state, next);
          }
        }
        if (state === "CLOSED") return;
        if (!mayMove(state, "CLOSED")) state = moved("0_0", state, "SUSPENDED");
        assert.equal(moved("0_0", state, "CLOSED"), "CLOSED");
      }),
    );
  });
});
