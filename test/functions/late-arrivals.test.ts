import assert from "node:assert/strict";
import { test } from "node:test";
import { createTestDriver } from "keyfold/testing";
import lateArrivals from "../../functions/late-arrivals.ts";
import config from "../../wrangler-like.config.ts";

test("late-arrivals: counts what comes, per airport; the config says from where", async () => {
  assert.deepEqual(config.functions?.["late-arrivals"], { source: "long-delays" });
  const driver = await createTestDriver(lateArrivals, { config: { source: "long-delays" } });
  for (const key of ["ORD", "DFW", "ORD"]) driver.pipe("long-delays", { key, value: { delay: 200 } });
  assert.equal(driver.state("ORD"), 2);
  assert.equal(driver.state("DFW"), 1);
  await driver.close();
});
