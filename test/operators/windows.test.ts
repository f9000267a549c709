import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { defineFunction, hopping, session, sliding, stream } from "keyfold";
import { type Event, event, finals, manner, runs, sorted, through } from "./harness.ts";

const events = fc.array(event(["in"], fc.integer({ min: 1, max: 9 })), { minLength: 1, maxLength: 40 });

test("hopping windows, updates: the sum of what is in each window and came before it closed", async () => {
  await fc.assert(
    fc.asyncProperty(
      events,
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 1, max: 20 }),
      fc.nat(30),
      manner,
      async (input, a, b, grace, how) => {
        const [size, advance] = [Math.max(a, b), Math.min(a, b)];
        const definition = defineFunction({
          source: stream<number>("in"),
          window: hopping(size, { advance, grace, retention: 1_000 }),
          reduce: (sum: number | undefined, n: number) => (sum ?? 0) + n,
          sink: "out",
        });
        const expected = new Map<string, number>();
        let streamTime = -1;
        for (const { key, value, timestamp } of input) {
          streamTime = Math.max(streamTime, timestamp);
          for (let start = 0; start <= timestamp; start += advance) {
            const end = start + size;
            if (end <= timestamp || end <= streamTime - grace) continue;
            const at = `${key}@${start}/${end}`;
            expected.set(at, (expected.get(at) ?? 0) + (value ?? 0));
          }
        }
        // After a crash under at-least-once, records of before may be counted again.
        if (how.restart.crash && how.options.guarantee === "at_least_once") return;
        assert.deepEqual(await through(definition, input, how, (driver) => finals(driver, "out")), sorted(expected));
      },
    ),
    runs(30),
  );
});

test("hopping windows, emitted on close: each closed window once, whatever the cache and the restarts", async () => {
  await fc.assert(
    fc.asyncProperty(events, fc.integer({ min: 1, max: 20 }), fc.nat(15), manner, async (input, size, grace, how) => {
      const definition = defineFunction({
        source: "in",
        window: hopping(size, { advance: size, grace, retention: size + grace }),
        emit: "on-window-close",
        initial: 0,
        reduce: (sum: number, n: number) => sum + n,
        sink: "out",
      });
      const sums = new Map<string, { end: number; sum: number }>();
      let streamTime = -1;
      for (const { key, value, timestamp } of input) {
        streamTime = Math.max(streamTime, timestamp);
        const start = Math.floor(timestamp / size) * size;
        const end = start + size;
        if (end <= streamTime - grace) continue;
        const at = `${key}@${start}/${end}`;
        sums.set(at, { end, sum: (sums.get(at)?.sum ?? 0) + (value ?? 0) });
      }
      const expected = new Map([...sums].filter(([, { end }]) => end <= streamTime - grace).map(([at, { sum }]) => [at, sum]));
      const safe = { ...how, restart: { ...how.restart, crash: how.restart.crash && how.options.guarantee === "exactly_once_v2" } };
      const out = await through(definition, input, safe, (driver) => driver.read("out"));
      assert.deepEqual(out.map(({ key }) => key).sort(), [...expected.keys()].sort(), "each exactly once");
      assert.deepEqual(sorted(new Map(out.map(({ key, value }) => [key ?? "", value]))), sorted(expected));
    }),
    runs(30),
  );
});

test("sessions: what is within the gap of each other, whatever the order in which it came", async () => {
  await fc.assert(
    fc.asyncProperty(events, fc.integer({ min: 1, max: 12 }), manner, async (input, gap, how) => {
      const definition = defineFunction({
        source: "in",
        window: session(gap, { grace: 1_000, retention: 10_000 }),
        reduce: (sum: number | undefined, n: number) => (sum ?? 0) + n,
        merge: (a, b) => a + b,
        sink: "out",
      });
      const expected = new Map<string, number>();
      for (const key of new Set(input.map((one) => one.key))) {
        let open: { start: number; end: number; sum: number } | undefined;
        const close = (): void => void (open !== undefined && expected.set(`${key}@${open.start}/${open.end}`, open.sum));
        for (const { timestamp, value } of input.filter((one) => one.key === key).sort((a, b) => a.timestamp - b.timestamp)) {
          if (open !== undefined && timestamp - open.end <= gap) open = { start: open.start, end: timestamp, sum: open.sum + (value ?? 0) };
          else {
            close();
            open = { start: timestamp, end: timestamp, sum: value ?? 0 };
          }
        }
        close();
      }
      const safe = { ...how, restart: { ...how.restart, crash: how.restart.crash && how.options.guarantee === "exactly_once_v2" } };
      assert.deepEqual(await through(definition, input, safe, (driver) => finals(driver, "out")), sorted(expected));
    }),
    runs(30),
  );
});

test("sliding windows: one ends at each record, one starts just after each that has a later one within reach", async () => {
  const distinct = fc.uniqueArray(event(["in"], fc.integer({ min: 1, max: 9 }), 100), {
    selector: ({ key, timestamp }: Event) => `${key} ${timestamp}`,
    minLength: 1,
    maxLength: 30,
  });
  await fc.assert(
    fc.asyncProperty(distinct, fc.integer({ min: 1, max: 25 }), manner, async (input, diff, how) => {
      const definition = defineFunction({
        source: "in",
        window: sliding(diff, { grace: 1_000, retention: 10_000 }),
        reduce: (sum: number | undefined, n: number) => (sum ?? 0) + n,
        sink: "out",
      });
      const expected = new Map<string, number>();
      for (const { key, timestamp } of input) {
        const sum = (from: number): number =>
          input.reduce(
            (n, one) => (one.key === key && one.timestamp >= from && one.timestamp <= from + diff ? n + (one.value ?? 0) : n),
            0,
          );
        const left = Math.max(0, timestamp - diff);
        expected.set(`${key}@${left}/${left + diff}`, sum(left));
        if (sum(timestamp + 1) > 0) expected.set(`${key}@${timestamp + 1}/${timestamp + 1 + diff}`, sum(timestamp + 1));
      }
      const safe = { ...how, restart: { ...how.restart, crash: how.restart.crash && how.options.guarantee === "exactly_once_v2" } };
      assert.deepEqual(await through(definition, input, safe, (driver) => finals(driver, "out")), sorted(expected));
    }),
    runs(30),
  );
});
