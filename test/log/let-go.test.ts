import assert from "node:assert/strict";
import { test } from "node:test";
import { letGo } from "../../runtime/log/let-go.ts";

test("only memory that is the view's alone is given back, and twice is harmless", () => {
  const own = Buffer.allocUnsafeSlow(100);
  letGo(own);
  letGo(own);
  assert.deepEqual([own.length, own.buffer.byteLength], [0, 0]);
  letGo(Buffer.alloc(0));
  const pooled = Buffer.from("some text");
  const part = Buffer.alloc(100, "x").subarray(1);
  const shared = new Uint8Array(new SharedArrayBuffer(8));
  for (const view of [pooled, part, shared]) letGo(view);
  assert.deepEqual([pooled.toString(), part.toString(), shared.length], ["some text", "x".repeat(99), 8]);
});
