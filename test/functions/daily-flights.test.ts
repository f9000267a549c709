import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { windowOf } from "keyfold";
import { createTestDriver } from "keyfold/testing";
import dailyFlights, { type Day } from "../../functions/daily-flights.ts";
import { flight, MANY, pipeFlights, realData } from "./real-data.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

describe("daily-flights", () => {
  test("counts each airport's days apart, and sends a day on once it has closed", async () => {
    const driver = await createTestDriver(dailyFlights);
    const pipe = (key: string, delay: number, timestamp: number) => driver.pipe("flights", { key, value: flight(key, delay), timestamp });
    pipe("SFO", 5, 0);
    pipe("SFO", -2, DAY - 1);
    pipe("SFO", 7, DAY);
    pipe("JFK", 1, DAY);
    const days = driver.store<Day>("state");
    assert.deepEqual(days.get("SFO", 0), { flights: 2, delay: 3 });
    assert.deepEqual(days.get("SFO", DAY), { flights: 1, delay: 7 });
    assert.deepEqual(driver.read("daily-flights"), [], "within the grace period nothing is final");

    pipe("JFK", 1, DAY + 6 * HOUR - 1);
    pipe("SFO", 4, DAY - 2);
    assert.deepEqual(days.get("SFO", 0), { flights: 3, delay: 7 }, "late, but not too late");
    assert.deepEqual(driver.read("daily-flights"), []);
    pipe("JFK", 1, DAY + 6 * HOUR);
    assert.deepEqual(
      driver.read("daily-flights").map(({ key, value }) => ({ key, value })),
      [{ key: `SFO@0/${DAY}`, value: { flights: 3, delay: 7 } }],
    );

    pipe("SFO", 9, 1);
    assert.deepEqual(days.get("SFO", 0), { flights: 3, delay: 7 }, "too late: the day has been sent");
    assert.equal(driver.droppedRecords, 1);
    await driver.close();
  });

  test("an event of today closes the days of 2001, and they stay readable, also on another machine", async () => {
    const driver = await createTestDriver(dailyFlights);
    const then = Date.UTC(2001, 2, 9);
    driver.pipe("flights", { key: "SFO", value: flight("SFO", 5), timestamp: then + HOUR });
    driver.pipe("flights", { key: "JFK", value: flight("JFK", 5), timestamp: Date.UTC(2026, 10, 21, 12) });
    assert.equal(driver.read("daily-flights").length, 1);
    await driver.restart({ wipe: true });
    assert.deepEqual(driver.store<Day>("state").get("SFO", then), { flights: 1, delay: 5 });
    await driver.close();
  });

  test("the real flights: each airport's day comes out once, with all of its flights", async () => {
    const { flights } = await realData();
    const expected = new Map<string, Day>();
    for (const { flight: one } of flights) {
      const day = `${one.origin} ${one.date.slice(0, 10)}`;
      const { flights: count, delay } = expected.get(day) ?? { flights: 0, delay: 0 };
      expected.set(day, { flights: count + 1, delay: delay + one.delay });
    }

    const driver = await createTestDriver(dailyFlights, MANY);
    pipeFlights(driver, flights);
    // One more, long after the others, closes the last days.
    driver.pipe("flights", { key: "SFO", value: flight("SFO", 0), timestamp: Date.UTC(2001, 3, 2) });
    driver.commit();
    const sent = driver.read<Day>("daily-flights");
    assert.equal(sent.length, expected.size);
    assert.deepEqual(new Map(sent.map(({ key, value }) => [airportDay(key ?? ""), value])), expected);
    assert.equal(driver.droppedRecords, 0);
    assert.deepEqual(driver.store<Day>("state").get("DFW", Date.UTC(2001, 2, 9)), expected.get("DFW 2001/03/09"));
    await driver.close();
  });
});

function airportDay(text: string): string {
  const { key, start, end } = windowOf(text);
  assert.equal(end - start, DAY);
  return `${key} ${new Date(start).toISOString().slice(0, 10).replaceAll("-", "/")}`;
}
