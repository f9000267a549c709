import assert from "node:assert/strict";
import { test } from "node:test";
import { defineFunction, session, sliding, table, tumbling, type WindowSpec } from "keyfold";
import { createTestDriver } from "keyfold/testing";

test("windows of keys beyond ASCII are emitted when they close", async () => {
  const windows: readonly WindowSpec[] = [tumbling(10), sliding(10), session(10)];
  for (const window of windows) {
    const driver = await createTestDriver(
      defineFunction<number, number>({
        source: "in",
        window,
        emit: "on-window-close",
        reduce: (n = 0) => n + 1,
        merge: (a, b) => a + b,
        sink: "out",
      }),
    );
    driver.pipe("in", { key: "😀", value: 1, timestamp: 5 });
    await driver.restart({ wipe: true });
    driver.pipe("in", { key: "é", value: 1, timestamp: 100 });
    assert.deepEqual(
      driver.read("out").map(({ value }) => value),
      [1],
      window.kind,
    );
    await driver.close();
  }
});

test("keys beyond ASCII expire", async () => {
  const driver = await createTestDriver(
    defineFunction<number, number>({ source: "in", ttl: { afterWrite: 10 }, reduce: (n = 0) => n + 1 }),
  );
  driver.pipe("in", { key: "😀", value: 1, timestamp: 0 });
  driver.pipe("in", { key: "a", value: 1, timestamp: 10 });
  assert.equal(driver.state("😀"), undefined);
  await driver.close();
});

test("a row that a join has looked up and that is gone before the next commit is put right", async () => {
  const joined = table<{ f: string }>("orders").leftJoinBy(
    table<number>("products"),
    ({ f }) => f,
    (_order, product) => product ?? "none",
    { store: "j" },
  );
  const driver = await createTestDriver(defineFunction({ topology: joined }), { cache: 1_000_000, commitInterval: 10 });
  driver.pipe("orders", { key: "a", value: { f: "q" } });
  driver.advanceWallClock(5);
  driver.pipe("products", { key: "q", value: 1 });
  driver.advanceWallClock(5);
  driver.pipe("products", { key: "q", value: null });
  driver.commit();
  assert.equal(driver.store("j").get("a"), "none");
  await driver.close();
});
