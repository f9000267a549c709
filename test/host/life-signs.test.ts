import assert from "node:assert/strict";
import { test } from "node:test";
import { LifeSigns } from "../../runtime/host/life-signs.ts";
import type { Glimpse } from "../../runtime/worker/cells.ts";

const IDLE: Glimpse = {
  busy: false,
  sequence: 1,
  task: 0,
  input: 0,
  offset: 0,
  beat: 1,
  unsettled: 0,
  held: 0,
  call: { task: -1, input: -1, offset: -1 },
};

test("stuck is who is in user code and gives no sign: no next record, no answer to a ping", () => {
  const signs = new LifeSigns();
  const look = (now: number, glimpse: Partial<Glimpse>, called = false): number => signs.stuckFor(now, { ...IDLE, ...glimpse }, called);
  assert.equal(look(500, {}), 0);
  assert.equal(look(1_000, {}), 0, "idle for long");
  assert.equal(look(1_500, {}, true), 500, "counted from the look before the call");
  assert.equal(look(2_000, { beat: 2 }, true), 0, "the ping has arrived");
  assert.equal(look(2_500, { beat: 2 }, true), 500);
  assert.equal(look(3_000, { beat: 2, busy: true }), 1_000);
  assert.equal(look(3_500, { beat: 2, busy: true, sequence: 2 }), 0, "another record");
  assert.equal(look(4_000, { beat: 2, busy: true, sequence: 2 }), 500);
});

test("a process that stood still, watchdog and all, has no one to blame", () => {
  const signs = new LifeSigns();
  const glimpse = { ...IDLE, busy: true };
  signs.stuckFor(500, glimpse, false);
  assert.equal(signs.stuckFor(1_000, glimpse, false), 500);
  assert.equal(signs.stuckFor(61_000, glimpse, false), 0, "stopped for a minute");
  assert.equal(signs.stuckFor(61_500, glimpse, false), 500);
});
