import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createTestDriver } from "keyfold/testing";
import delayWatch from "../../functions/delay-watch.ts";

const worst = { date: "2001/01/01 00:47", delay: 1, distance: 1, origin: "SFO", destination: "LAX" };
const stats = (flights: number, delay: number) => ({ flights, onTime: 0, delay, worst });

describe("delay-watch", () => {
  test("an airport comes on the list when its average delay passes the limit, and null takes it off", async () => {
    const driver = await createTestDriver(delayWatch);
    driver.pipe("airport-stats", { key: "DEN", value: stats(20, 240) });
    assert.deepEqual(driver.state("DEN"), { averageDelay: 12, flights: 20 });
    driver.pipe("airport-stats", { key: "DEN", value: stats(21, 240) });
    assert.equal(driver.state("DEN"), undefined);
    const sent = driver.read("delay-watch").map(({ key, value }) => [key, value]);
    assert.deepEqual(sent, [
      ["DEN", { averageDelay: 12, flights: 20 }],
      ["DEN", null],
    ]);
    // The deletion is in the changelog too, so that a restored store does not have the key either.
    assert.equal(driver.changelog("state").at(-1)?.value, null);
    await driver.restart({ wipe: true });
    assert.equal(driver.state("DEN"), undefined);
    await driver.close();
  });

  test("few flights are not enough, however late", async () => {
    const driver = await createTestDriver(delayWatch);
    driver.pipe("airport-stats", { key: "SUN", value: stats(19, 9_999) });
    assert.equal(driver.state("SUN"), undefined);
    await driver.close();
  });

  test("an airport that is not on the list and stays off it writes nothing at all", async () => {
    const driver = await createTestDriver(delayWatch);
    driver.pipe("airport-stats", { key: "HNL", value: stats(100, 100) });
    assert.deepEqual(driver.read("delay-watch"), []);
    assert.deepEqual(driver.changelog("state"), []);
    await driver.close();
  });
});
