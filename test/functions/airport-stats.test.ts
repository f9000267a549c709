import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createTestDriver } from "keyfold/testing";
import airportStats, { type AirportStats, type Flight, routes } from "../../functions/airport-stats.ts";

function flight(delay: number, destination = "LAX"): Flight {
  return { date: "2001/01/01 00:47", delay, distance: 337, origin: "SFO", destination };
}

describe("airport-stats", () => {
  test("counts flights, sums delays, keeps the worst", async () => {
    const driver = await createTestDriver(airportStats);
    for (const delay of [14, 15, -5, 40, 40]) driver.pipe("flights", { key: "SFO", value: flight(delay, delay === 40 ? "SEA" : "LAX") });
    assert.deepEqual(driver.state("SFO"), { flights: 5, onTime: 2, delay: 104, worst: flight(40, "SEA") });
    await driver.close();
  });

  test("sends each new state to its sink, under the airport's key", async () => {
    const driver = await createTestDriver(airportStats);
    driver.pipe("flights", { key: "SFO", value: flight(1), timestamp: 7 });
    driver.pipe("flights", { key: "JFK", value: flight(2), timestamp: 8 });
    const sent = driver.read<AirportStats>("airport-stats").map(({ key, value, timestamp }) => ({ key, delay: value.delay, timestamp }));
    assert.deepEqual(sent, [
      { key: "SFO", delay: 1, timestamp: 7 },
      { key: "JFK", delay: 2, timestamp: 8 },
    ]);
    await driver.close();
  });

  test("with a cache, only the last state before a commit is sent", async () => {
    const driver = await createTestDriver(airportStats, { cache: 1_000_000, commitInterval: 60_000 });
    for (const delay of [1, 2, 3]) driver.pipe("flights", { key: "SFO", value: flight(delay) });
    assert.deepEqual(driver.read("airport-stats"), []);
    driver.commit();
    assert.deepEqual(
      driver.read<AirportStats>("airport-stats").map(({ value }) => value.flights),
      [3],
    );
    await driver.close();
  });

  test("sends very late flights on, keyed by where they are going", async () => {
    const driver = await createTestDriver(airportStats);
    driver.pipe("flights", { key: "SFO", value: flight(179, "ORD") });
    driver.pipe("flights", { key: "SFO", value: flight(180, "SEA") });
    assert.deepEqual(
      driver.read("long-delays").map(({ key, value }) => ({ key, value })),
      [{ key: "SEA", value: flight(180, "SEA") }],
    );
    await driver.close();
  });

  test("after a crash in the middle, it counts each flight once", async () => {
    const driver = await createTestDriver(airportStats, { guarantee: "exactly_once_v2", cache: 1_000_000, commitInterval: 60_000 });
    driver.pipe("flights", { key: "SFO", value: flight(200) });
    driver.commit();
    driver.pipe("flights", { key: "SFO", value: flight(300) });
    await driver.restart({ crash: true });
    driver.commit();
    assert.equal(driver.state<AirportStats>("SFO")?.flights, 2);
    assert.equal(driver.read("long-delays").length, 2);
    await driver.close();
  });

  test("a record without a value is dropped, and the next one counts", async () => {
    const driver = await createTestDriver(airportStats);
    driver.pipe("flights", { key: "SFO", value: flight(1) });
    driver.pipe("flights", { key: "SFO", value: null });
    driver.pipe("flights", { key: "SFO", value: flight(2) });
    assert.equal(driver.state<AirportStats>("SFO")?.flights, 2);
    assert.equal(driver.droppedRecords, 1);
    await driver.close();
  });

  test("its routes rank the airports", async () => {
    const entry = (key: string, flights: number) => ({
      key,
      value: { flights, onTime: 0, delay: flights * 3, worst: flight(1) },
      timestamp: 0,
    });
    const state = { get: async () => undefined, list: async () => [entry("A", 1), entry("C", 9), entry("B", 9)] };
    const answer = await routes.request("/busiest?limit=2", {}, { state });
    assert.deepEqual(await answer.json(), [
      { airport: "B", flights: 9, averageDelay: 3 },
      { airport: "C", flights: 9, averageDelay: 3 },
    ]);
    assert.equal((await routes.request("/busiest?limit=no", {}, { state })).status, 400);
  });
});
