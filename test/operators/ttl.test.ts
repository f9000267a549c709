import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { defineFunction } from "keyfold";
import { createTestDriver } from "keyfold/testing";
import { event, type Manner, manner, runs, sorted, through } from "./harness.ts";

const exact = (how: Manner): Manner => ({
  ...how,
  restart: { ...how.restart, crash: how.restart.crash && how.options.guarantee === "exactly_once_v2" },
});

test("event time: a key lives until nothing has been written for so long, whatever the order of events", async () => {
  const input = fc.array(event(["in"], fc.integer({ min: 0, max: 9 }), 200), { maxLength: 50 });
  await fc.assert(
    fc.asyncProperty(
      input,
      fc.integer({ min: 1, max: 60 }),
      fc.constantFrom("afterWrite" as const, "afterRead" as const),
      manner,
      async (events, ttl, mode, way) => {
        const definition = defineFunction({
          source: "in",
          ttl: mode === "afterWrite" ? { afterWrite: ttl } : { afterRead: ttl },
          // 0 leaves the state alone, 9 deletes it.
          reduce: (n: number | undefined, add: number) => (add === 0 ? undefined : add === 9 ? null : (n ?? 0) + add),
        });
        const states = new Map<string, { n: number; touched: number }>();
        let streamTime = -1;
        for (const { key, value, timestamp } of events) {
          streamTime = Math.max(streamTime, timestamp);
          for (const [k, { touched }] of states) if (touched + ttl <= streamTime) states.delete(k);
          const before = states.get(key);
          const add = value ?? 0;
          if (add === 9) states.delete(key);
          else if (add > 0) states.set(key, { n: (before?.n ?? 0) + add, touched: Math.max(timestamp, before?.touched ?? -1) });
          else if (before !== undefined && mode === "afterRead") before.touched = Math.max(before.touched, timestamp);
        }
        // What is due is let go when the next event comes.
        const entries = await through(definition, events, exact(way), (driver) => driver.store<number>("state").entries());
        const got = sorted(new Map(entries.map(({ key, value }) => [key, value])));
        assert.deepEqual(got, sorted(new Map([...states].map(([key, { n }]) => [key, n]))));
      },
    ),
    runs(40),
  );
});

test("an expired key leaves tombstones in changelog and sink, and may give the reducer a last word", async () => {
  type Event = { kind: "hit" } | { kind: "expired" };
  const driver = await createTestDriver(
    defineFunction<Event, { hits: number }>({
      source: "in",
      sink: "out",
      ttl: { afterWrite: "10s", expired: () => ({ kind: "expired" }) },
      reduce(state = { hits: 0 }, event, ctx) {
        if (event.kind === "expired") {
          ctx.emit("idle", state.hits);
          return state.hits > 2 ? { hits: 0 } : null;
        }
        return { hits: state.hits + 1 };
      },
    }),
  );
  const hit = (key: string, timestamp: number): void => driver.pipe("in", { key, value: { kind: "hit" }, timestamp });
  hit("a", 0);
  hit("b", 1_000);
  hit("b", 1_000);
  hit("b", 1_000);
  await driver.restart({ wipe: true });
  hit("c", 15_000);
  assert.equal(driver.state("a"), undefined);
  assert.deepEqual(driver.state("b"), { hits: 0 }, "three hits earn another life");
  assert.deepEqual(
    driver.read("idle").map(({ key, value }) => [key, value]),
    [
      ["a", 1],
      ["b", 3],
    ],
  );
  assert.deepEqual(driver.read("out").at(-3), { key: "a", value: null, timestamp: 15_000 });
  assert.deepEqual(
    driver
      .changelog("state")
      .filter(({ key }) => key === "a")
      .at(-1),
    { key: "a", value: null, timestamp: 15_000 },
  );
  hit("c", 25_000);
  assert.equal(driver.state("b"), undefined);
  await driver.close();
});

test("wall clock: keys expire while nothing comes in", async () => {
  const driver = await createTestDriver(
    defineFunction({
      source: "in",
      sink: "out",
      ttl: { afterRead: "1 minute", by: "wall-clock" },
      initial: 0,
      reduce: (n: number, add: number) => n + add,
    }),
    { startTime: 1_000_000 },
  );
  driver.pipe("in", { key: "a", value: 1, timestamp: 5 });
  driver.advanceWallClock(59_000);
  driver.pipe("in", { key: "b", value: 1, timestamp: 5 });
  driver.advanceWallClock(1_000);
  assert.equal(driver.state("a"), undefined);
  assert.equal(driver.state("b"), 1);
  await driver.restart();
  driver.advanceWallClock(59_000);
  assert.equal(driver.state("b"), undefined);
  assert.deepEqual(
    driver.read("out").map(({ key, value }) => [key, value]),
    [
      ["a", 1],
      ["b", 1],
      ["a", null],
      ["b", null],
    ],
  );
  await driver.close();
});
