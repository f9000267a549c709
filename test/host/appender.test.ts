import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import type { Position } from "../../runtime/host/api.ts";
import { Appender } from "../../runtime/host/appender.ts";
import { type EmbeddedExtras, openEmbeddedLog } from "../../runtime/log/embedded/log.ts";
import type { Log } from "../../runtime/log/log.ts";

let dir: string;
let log: Log & EmbeddedExtras;
let appender: Appender;

before(async () => {
  dir = await mkdtemp(join(tmpdir(), "keyfold-appender-"));
  log = await openEmbeddedLog({ dir, flush: "os", syncIntervalMs: 60_000 });
  await log.ensureTopic({ name: "events", partitions: 1 });
});
// Patient enough that no pause of the machine shows.
beforeEach(() => {
  appender = new Appender(log, { gatherMs: 60_000, returnMs: 60_000 });
});
after(async () => {
  await log.close();
  await rm(dir, { recursive: true });
});

const gathered = (): Promise<Position> =>
  new Promise((resolve, reject) => appender.append("events", 1, { key: "k", value: Buffer.from("1") }, resolve, reject, true));
const writes = (): number => log.metrics().writes;

test("clients that ask again once they are answered share one write, though they do not ask in one turn", async () => {
  await Promise.all(Array.from({ length: 8 }, gathered));
  appender.answered(8);
  const before = writes();
  const again: Promise<Position>[] = [];
  for (let i = 0; i < 8; i++) {
    again.push(gathered());
    await turn();
  }
  const positions = await Promise.all(again);
  assert.equal(writes(), before + 1);
  assert.deepEqual(
    positions.map(({ offset }) => offset),
    [8, 9, 10, 11, 12, 13, 14, 15],
  );
  appender.answered(8);
});

test("those that come while others are under way wait for them, and join them", async () => {
  await Promise.all([gathered(), gathered()]);
  const before = writes();
  const late = gathered();
  await turn();
  assert.equal(writes(), before, "it waits");
  appender.answered(2);
  const returned = [gathered(), gathered()];
  await Promise.all([late, ...returned]);
  assert.equal(writes(), before + 1);
  appender.answered(3);
});

test("what does not come back is not waited for", async () => {
  appender = new Appender(log);
  await Promise.all(Array.from({ length: 5 }, gathered));
  appender.answered(5);
  await gathered();
  appender.answered(1);
  const before = writes();
  // Alone now: at once, in the next turn.
  const alone = gathered();
  await turn();
  await turn();
  await alone;
  assert.equal(writes(), before + 1);
  appender.answered(1);
});

test("an event that nobody waits for takes those kept back along", async () => {
  await gathered();
  const held = gathered();
  await turn();
  const before = writes();
  await new Promise((resolve, reject) => appender.append("events", 1, { key: "k", value: Buffer.from("2") }, resolve, reject));
  await held;
  assert.equal(writes(), before + 1);
  appender.answered(2);
});
