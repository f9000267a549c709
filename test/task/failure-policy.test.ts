import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { KeyfoldError } from "../../runtime/errors.ts";
import { RecordFailure } from "../../runtime/task/failure.ts";
import { FailurePolicy } from "../../runtime/task/failure-policy.ts";

const clean = new RecordFailure("reducer-threw", new Error("clean"), true);
const unclean = new RecordFailure("reducer-threw", new Error("unclean"), false);
const policy = (onError: "retry" | "dead-letter" | "fail", retries = 3, backoffMs = 100) =>
  new FailurePolicy({ onError, retries, backoffMs, wallClock: () => 1_000 });

describe("failure policy", () => {
  test("fail fails, whatever it was", () => {
    for (const failure of [clean, unclean]) assert.deepEqual(policy("fail").decide("t/0/1", failure), { kind: "fail" });
  });

  test("dead-letter: at once when nothing can have changed, else after a rollback, then left out", () => {
    const it = policy("dead-letter");
    assert.deepEqual(it.decide("t/0/1", clean), { kind: "dead-letter" });
    assert.equal(it.clear, true);
    assert.deepEqual(it.decide("t/0/2", unclean), { kind: "rollback" });
    assert.equal(it.clear, false);
    assert.equal(it.take("t/0/1"), undefined);
    assert.equal(it.take("t/0/2"), unclean);
  });

  test("retry: pauses that double up to 30 s, then as dead-letter; a success forgets the attempts", () => {
    const it = policy("retry", 12);
    const pauses = Array.from({ length: 12 }, () => {
      const verdict = it.decide("t/0/1", clean);
      assert.equal(verdict.kind, "retry");
      return verdict.kind === "retry" ? verdict.at - 1_000 : 0;
    });
    assert.deepEqual(pauses, [100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000, 30_000]);
    assert.deepEqual(it.decide("t/0/1", clean), { kind: "dead-letter" });
    assert.equal(it.retrying, false);
    assert.equal(it.decide("t/0/2", clean).kind, "retry");
    it.succeeded("t/0/2");
    assert.equal(it.retrying, false);
  });

  test("retry goes back to the last commit when something may have changed, or come after it", () => {
    const dirty = (failure: RecordFailure, applied: boolean): boolean => {
      const verdict = policy("retry").decide("t/0/1", failure, applied);
      return verdict.kind === "retry" && verdict.dirty;
    };
    assert.deepEqual([dirty(clean, false), dirty(unclean, false), dirty(clean, true)], [false, true, true]);
  });

  test("however often the task goes back, a record is found only once; after the commit it is forgotten", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 0, max: 60 }), { maxLength: 20 }), fc.integer({ min: 61, max: 80 }), (bad, end) => {
        const it = policy("dead-letter");
        let runs = 0;
        const replay = (): boolean => {
          runs++;
          for (let offset = 0; offset < end; offset++) {
            if (it.take(`t/0/${offset}`) !== undefined) continue;
            if (!bad.includes(offset)) continue;
            assert.equal(it.decide(`t/0/${offset}`, unclean).kind, "rollback");
            it.rolledBack();
            return false;
          }
          return true;
        };
        while (!replay());
        assert.equal(runs, bad.length + 1);
        it.committed();
        assert.equal(it.clear, true);
      }),
    );
  });

  test("what is thrown keeps its code, and is unclean unless it says otherwise", () => {
    const failure = RecordFailure.from(new KeyfoldError("state-too-large", "too large"));
    assert.deepEqual([failure.code, failure.clean, failure.message], ["state-too-large", false, "too large"]);
    assert.equal(RecordFailure.from(clean), clean);
    for (const thrown of ["text", undefined, null, 7, { a: 1 }]) assert.equal(RecordFailure.from(thrown).code, "reducer-threw");
    assert.match(RecordFailure.from("text").trace, /text/);
  });
});
