import assert from "node:assert/strict";
import { test } from "node:test";
import { KeyfoldError } from "../../runtime/errors.ts";
import { RecordFailure } from "../../runtime/task/failure.ts";
import { refusal } from "../../runtime/worker/task-answers.ts";

test("who invoked an event that was given up reads what went wrong as a sentence", () => {
  const record = { topic: "events", partition: 1, offset: 7 };
  const told = (thrown: unknown): string => refusal("cart", RecordFailure.from(thrown), record).message;
  assert.equal(told(new TypeError("no sku")), "function cart refused the event: TypeError: no sku; it is in the dead-letter topic");
  assert.equal(
    told(new KeyfoldError("state-too-large", "The state is too large.")),
    "function cart refused the event: The state is too large; it is in the dead-letter topic",
  );
  const { code, details } = refusal("cart", RecordFailure.from(new KeyfoldError("state-too-large", "x")), record);
  assert.deepEqual([code, details], ["state-too-large", record]);
});
