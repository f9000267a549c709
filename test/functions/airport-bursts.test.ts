import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createTestDriver } from "keyfold/testing";
import airportBursts, { type Burst } from "../../functions/airport-bursts.ts";
import { flight, MANY, pipeFlights, realData } from "./real-data.ts";

const MINUTE = 60_000;
const GAP = 120 * MINUTE;

describe("airport-bursts", () => {
  test("a burst comes out once, when two hours have passed without another late flight", async () => {
    const driver = await createTestDriver(airportBursts);
    const pipe = (key: string, delay: number, minute: number) =>
      driver.pipe("flights", { key, value: flight(key, delay), timestamp: minute * MINUTE });
    for (const [minute, delay] of [
      [0, 60],
      [100, 59],
      [120, 90],
      [240, 70],
    ] as const)
      pipe("ORD", delay, minute);
    assert.deepEqual(
      driver
        .store<Burst>("bursts")
        .entries()
        .map(({ windowStart, windowEnd, value }) => ({ windowStart, windowEnd, value })),
      [{ windowStart: 0, windowEnd: 240 * MINUTE, value: { flights: 3, worst: 90 } }],
    );
    assert.deepEqual(driver.read("airport-bursts"), []);
    pipe("SFO", 60, 359);
    assert.deepEqual(driver.read("airport-bursts"), [], "it could still grow");
    pipe("SFO", 60, 361);
    assert.deepEqual(
      driver.read("airport-bursts").map(({ key, value }) => ({ key, value })),
      [{ key: `ORD@0/${240 * MINUTE}`, value: { flights: 3, worst: 90 } }],
    );
    await driver.close();
  });

  test("fewer than three are not sent on, and one flight can make two sessions one", async () => {
    const driver = await createTestDriver(airportBursts);
    const pipe = (key: string, minute: number) => driver.pipe("flights", { key, value: flight(key, 60), timestamp: minute * MINUTE });
    pipe("ORD", 0);
    pipe("ORD", 10);
    pipe("SFO", 0);
    pipe("SFO", 200);
    pipe("SFO", 100);
    pipe("SFO", 1_000);
    assert.deepEqual(
      driver.read("airport-bursts").map(({ key }) => key),
      [`SFO@0/${200 * MINUTE}`],
    );
    await driver.close();
  });

  test("what is held back survives a crash, and another machine", async () => {
    for (const wipe of [false, true]) {
      const driver = await createTestDriver(airportBursts, { ...MANY, guarantee: "exactly_once_v2" });
      const pipe = (minute: number) => driver.pipe("flights", { key: "ORD", value: flight("ORD", 60), timestamp: minute * MINUTE });
      pipe(0);
      pipe(1);
      driver.commit();
      pipe(2);
      await driver.restart({ crash: true, wipe });
      pipe(1_000);
      driver.commit();
      assert.deepEqual(
        driver.read("airport-bursts").map(({ key, value }) => ({ key, value })),
        [{ key: `ORD@0/${2 * MINUTE}`, value: { flights: 3, worst: 60 } }],
      );
      await driver.close();
    }
  });

  test("the real flights: the bursts are those of the file", async () => {
    const { flights } = await realData();
    const sessions: { key: string; start: number; end: number; value: Burst }[] = [];
    for (const { time, flight: one } of flights.filter((real) => real.flight.delay >= 60)) {
      const last = sessions.findLast(({ key }) => key === one.origin);
      if (last !== undefined && time - last.end <= GAP) {
        last.end = time;
        last.value = { flights: last.value.flights + 1, worst: Math.max(last.value.worst, one.delay) };
      } else sessions.push({ key: one.origin, start: time, end: time, value: { flights: 1, worst: one.delay } });
    }
    const expected = sessions
      .filter(({ value }) => value.flights >= 3)
      .map(({ key, start, end, value }) => [`${key}@${start}/${end}`, value]);
    assert.ok(expected.length > 10);

    const driver = await createTestDriver(airportBursts, MANY);
    pipeFlights(driver, flights);
    driver.pipe("flights", { key: "SFO", value: flight("SFO", 60), timestamp: Date.UTC(2001, 3, 2) });
    driver.commit();
    const sent = driver.read<Burst>("airport-bursts");
    assert.equal(sent.length, expected.length, "each once");
    assert.deepEqual(new Map(sent.map(({ key, value }) => [key, value])), new Map(expected as [string, Burst][]));
    await driver.close();
  });
});
