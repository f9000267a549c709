import assert from "node:assert/strict";
import { test } from "node:test";
import { createTestDriver } from "keyfold/testing";
import airports, { type Airport } from "../../functions/airports.ts";

const sfo: Airport = {
  name: "San Francisco International",
  city: "San Francisco",
  state: "CA",
  country: "USA",
  latitude: 37.6,
  longitude: -122.4,
};

test("airports: the last entry of a code is the airport", async () => {
  const driver = await createTestDriver(airports);
  driver.pipe("airports", { key: "SFO", value: { ...sfo, name: "Mills Field" } });
  driver.pipe("airports", { key: "SFO", value: sfo });
  assert.deepEqual(driver.state("SFO"), sfo);
  assert.equal(driver.state("LAX"), undefined);
  await driver.close();
});

test("airports: the directory is restored from its changelog", async () => {
  const driver = await createTestDriver(airports);
  driver.pipe("airports", { key: "SFO", value: sfo });
  await driver.restart({ wipe: true });
  assert.deepEqual(driver.state("SFO"), sfo);
  await driver.close();
});
