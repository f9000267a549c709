import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createTestDriver } from "keyfold/testing";
import type { Airport } from "../../functions/airports.ts";
import stateDelays, { type StateDelay } from "../../functions/state-delays.ts";
import { flight, MANY, pipeFlights, realData } from "./real-data.ts";

const airport = (state: string): Airport => ({ name: "", city: "", state, country: "USA", latitude: 0, longitude: 0 });

describe("state-delays", () => {
  test("adds up the flights of a state's airports", async () => {
    const driver = await createTestDriver(stateDelays);
    for (const [key, state] of [
      ["SFO", "CA"],
      ["LAX", "CA"],
      ["JFK", "NY"],
    ] as const)
      driver.pipe("airports", { key, value: airport(state) });
    for (const [key, delay] of [
      ["SFO", 10],
      ["JFK", -3],
      ["LAX", 5],
      ["SFO", 5],
    ] as const)
      driver.pipe("flights", { key, value: flight(key, delay) });
    assert.deepEqual(driver.state("CA"), { flights: 3, delay: 20, averageDelay: 6.7 });
    assert.deepEqual(driver.state("NY"), { flights: 1, delay: -3, averageDelay: -3 });
    assert.deepEqual(
      driver.read<StateDelay>("state-delays").map(({ key, value }) => [key, value.delay]),
      [
        ["CA", 10],
        ["NY", -3],
        ["CA", 15],
        ["CA", 20],
      ],
    );
    await driver.close();
  });

  test("a flight meets the row that the table has when it comes, and none where there is none", async () => {
    const driver = await createTestDriver(stateDelays);
    const fly = () => driver.pipe("flights", { key: "TXK", value: flight("TXK", 30) });
    fly();
    driver.pipe("airports", { key: "TXK", value: airport("TX") });
    fly();
    driver.pipe("airports", { key: "TXK", value: airport("AR") });
    fly();
    driver.pipe("airports", { key: "TXK", value: null });
    fly();
    const one = { flights: 1, delay: 30, averageDelay: 30 };
    assert.deepEqual([driver.state("TX"), driver.state("AR")], [one, one]);
    assert.equal(driver.store("state").entries().length, 2);
    await driver.close();
  });

  test("table and totals are there after a crash, and on another machine", async () => {
    for (const wipe of [false, true]) {
      const driver = await createTestDriver(stateDelays, { ...MANY, guarantee: "exactly_once_v2" });
      driver.pipe("airports", { key: "SFO", value: airport("CA") });
      driver.pipe("flights", { key: "SFO", value: flight("SFO", 1) });
      driver.commit();
      driver.pipe("flights", { key: "SFO", value: flight("SFO", 2) });
      await driver.restart({ crash: true, wipe });
      driver.pipe("flights", { key: "SFO", value: flight("SFO", 4) });
      driver.commit();
      assert.deepEqual(driver.state("CA"), { flights: 3, delay: 7, averageDelay: 2.3 });
      await driver.close();
    }
  });

  test("the real flights: every state's total is that of the file", async () => {
    const { airports, flights } = await realData();
    const expected = new Map<string, { flights: number; delay: number }>();
    for (const { flight: one } of flights) {
      const state = airports.get(one.origin)?.state ?? assert.fail(`${one.origin} is no airport`);
      const { flights: count, delay } = expected.get(state) ?? { flights: 0, delay: 0 };
      expected.set(state, { flights: count + 1, delay: delay + one.delay });
    }

    const driver = await createTestDriver(stateDelays, MANY);
    for (const [key, value] of airports) driver.pipe("airports", { key, value });
    pipeFlights(driver, flights);
    driver.commit();
    const found = driver.store<StateDelay>("state").entries();
    assert.deepEqual(new Map(found.map(({ key, value }) => [key, { flights: value.flights, delay: value.delay }])), expected);
    for (const { value } of found) assert.ok(Math.abs(value.averageDelay - value.delay / value.flights) <= 0.05 + 1e-9);
    assert.equal(new Map(driver.read("state-delays").map(({ key }) => [key, true])).size, expected.size);
    await driver.close();
  });
});
