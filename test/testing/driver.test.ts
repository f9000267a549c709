import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { defineFunction, globalTable, KeyfoldError, lru, memory, rocksdb, stream, table, tumbling } from "keyfold";
import { createTestDriver } from "keyfold/testing";

const cart = defineFunction<{ type: "add" | "checkout" | "break"; sku?: string }, { skus: string[] }>({
  source: "cart-events",
  sink: "carts",
  reduce(state = { skus: [] }, event, ctx) {
    if (event.type === "break") throw new Error("out of order");
    if (event.type === "checkout") {
      ctx.emit("orders", { user: ctx.key, skus: state.skus });
      return null;
    }
    return { skus: [...state.skus, event.sku ?? "?"] };
  },
});
const add = (sku: string) => ({ key: "ann", value: { type: "add", sku }, timestamp: 1 });

test("states, outputs, changelog and tombstones of a reducer", async () => {
  const driver = await createTestDriver(cart, { name: "cart" });
  driver.pipe("cart-events", add("book"));
  assert.deepEqual(driver.state("ann"), { skus: ["book"] });
  driver.pipe("cart-events", { key: "ann", value: { type: "checkout" }, timestamp: 5, headers: { trace: "1" } });
  assert.equal(driver.state("ann"), undefined);
  assert.deepEqual(driver.read("orders"), [{ key: "ann", value: { user: "ann", skus: ["book"] }, timestamp: 5 }]);
  assert.deepEqual(driver.read("orders"), [], "read gives what is new");
  assert.deepEqual(
    driver.read("carts").map(({ value }) => value),
    [{ skus: ["book"] }, null],
  );
  assert.deepEqual(driver.changelog("state"), [
    { key: "ann", value: { skus: ["book"] }, timestamp: 1 },
    { key: "ann", value: null, timestamp: 5 },
  ]);
  driver.pipe("cart-events", { key: null, value: { type: "add" } });
  assert.equal(driver.droppedRecords, 1);
  await driver.close();
  await driver.close();
});

test("a bare reducer takes its source from the config", async () => {
  const driver = await createTestDriver((n = 0) => n + 1, { config: { source: "hits" } });
  driver.pipe("hits", { key: "a", value: 1 });
  driver.pipe("hits", { key: "a", value: 1 });
  assert.equal(driver.state("a"), 2);
  await driver.close();
});

test("a record that fails is dead-lettered with what was there before, or stops the function", async () => {
  const driver = await createTestDriver(cart);
  driver.pipe("cart-events", add("book"));
  driver.pipe("cart-events", { key: "ann", value: { type: "break" }, timestamp: 2 });
  driver.pipe("cart-events", add("pen"));
  assert.deepEqual(driver.state("ann"), { skus: ["book", "pen"] });
  const [letter] = driver.deadLetters();
  assert.deepEqual(
    [letter?.key, letter?.value, letter?.headers?.["keyfold.errors.state-before"]],
    ["ann", { type: "break" }, '{"skus":["book"]}'],
  );
  await driver.close();
  const strict = await createTestDriver(cart, { config: { onError: "fail" } });
  assert.throws(
    () => strict.pipe("cart-events", { key: "ann", value: { type: "break" } }),
    (error) => error instanceof KeyfoldError && error.code === "task-failed",
  );
  await strict.close();
});

test("a dead letter is of bounded size, however large the state and the message", async (t) => {
  const driver = await createTestDriver(
    defineFunction<{ grow: number }, string>({
      source: "in",
      reduce(_text, { grow }) {
        if (grow === 0) throw new Error("m".repeat(1_000_000));
        return "s".repeat(grow);
      },
    }),
  );
  t.after(() => driver.close());
  driver.pipe("in", { key: "k", value: { grow: 500_000 } });
  driver.pipe("in", { key: "k", value: { grow: 0 } });
  const [letter] = driver.deadLetters();
  const size = JSON.stringify(letter).length;
  assert.ok(size < 100_000, `${size} characters`);
  assert.match(letter?.headers?.["keyfold.errors.state-before"] ?? "", /^"s+$/);
  assert.equal(driver.state("k"), "s".repeat(500_000));
});

test("a failure in the middle of a graph takes back everything the record did", async () => {
  const definition = defineFunction({
    topology: stream<number>("in")
      .groupByKey()
      .count("counted")
      .toStream()
      .mapValues((n) => {
        if (n === 2) throw new Error("two");
        return n;
      })
      .to("out"),
  });
  for (const restart of [false, true]) {
    const driver = await createTestDriver(definition);
    for (const value of [1, 1]) driver.pipe("in", { key: "a", value, timestamp: 1 });
    if (restart) await driver.restart({ wipe: true });
    assert.equal(driver.store("counted").get("a"), 1);
    driver.pipe("in", { key: "b", value: 1, timestamp: 1 });
    assert.deepEqual(
      driver.read("out").map(({ key, value }) => [key, value]),
      [
        ["a", 1],
        ["b", 1],
      ],
    );
    assert.equal(driver.deadLetters().length, 1);
    await driver.close();
  }
});

test("with a cache and a commit interval, updates come out once a commit", async () => {
  const driver = await createTestDriver(cart, { cache: 1_000_000, commitInterval: 100 });
  for (const sku of ["a", "b", "c"]) driver.pipe("cart-events", add(sku));
  assert.deepEqual(driver.read("carts"), []);
  assert.deepEqual(driver.state("ann"), { skus: ["a", "b", "c"] });
  driver.advanceWallClock(100);
  assert.equal(driver.read("carts").length, 1);
  driver.pipe("cart-events", add("d"));
  driver.commit();
  assert.equal(driver.changelog("state").length, 2);
  await driver.close();
});

test("a crash loses nothing: what was not committed is processed again", async () => {
  for (const wipe of [false, true]) {
    const driver = await createTestDriver(cart, { guarantee: "exactly_once_v2", cache: 1_000_000, commitInterval: 1_000_000 });
    driver.pipe("cart-events", add("a"));
    driver.commit();
    driver.pipe("cart-events", add("b"));
    await driver.restart({ crash: true, wipe });
    assert.deepEqual(driver.state("ann"), { skus: ["a", "b"] });
    driver.commit();
    assert.deepEqual(
      driver.read("carts").map(({ value }) => value),
      [{ skus: ["a"] }, { skus: ["a", "b"] }],
    );
    await driver.close();
  }
});

test("stores of every kind survive a restart as they should", async () => {
  const sum = (store: ReturnType<typeof rocksdb>) =>
    defineFunction<number, number>({ source: "in", store, reduce: (n = 0, add) => n + add });
  for (const [store, wiped] of [
    [rocksdb(), 3],
    [memory(), 3],
    [lru({ maxEntries: 5 }), 3],
    [rocksdb({ logged: false }), undefined],
    [memory({ logged: false }), undefined],
  ] as const) {
    const driver = await createTestDriver(sum(store));
    driver.pipe("in", { key: "a", value: 1 });
    driver.pipe("in", { key: "a", value: 2 });
    await driver.restart({ wipe: true });
    assert.equal(driver.state("a"), wiped);
    await driver.close();
  }
});

test("a reducer reads tables by name, global ones too", async () => {
  const driver = await createTestDriver(
    defineFunction<{ n: number }, { total: number }>({
      source: "sales",
      tables: [table<number>("prices"), globalTable<number>("rates")],
      reduce(state = { total: 0 }, { n }, ctx) {
        return { total: state.total + n * (ctx.table<number>("prices").get(ctx.key) ?? 0) * (ctx.table<number>("rates").get("eur") ?? 1) };
      },
    }),
  );
  driver.pipe("prices", { key: "book", value: 10 });
  driver.pipe("rates", { key: "eur", value: 2 });
  driver.pipe("sales", { key: "book", value: { n: 3 } });
  await driver.restart({ wipe: true });
  driver.pipe("sales", { key: "book", value: { n: 1 } });
  assert.deepEqual(driver.state("book"), { total: 80 });
  await driver.close();
});

test("windows are read with their bounds, and late records can go to a topic", async () => {
  const driver = await createTestDriver(
    defineFunction<number, number>({
      source: "in",
      window: tumbling(10, { grace: 0 }),
      lateTo: "late",
      reduce: (n = 0, add) => n + add,
      sink: "out",
    }),
  );
  driver.pipe("in", { key: "a", value: 1, timestamp: 3 });
  driver.pipe("in", { key: "a", value: 2, timestamp: 14 });
  driver.pipe("in", { key: "a", value: 4, timestamp: 5 });
  assert.deepEqual(driver.store("state").entries(), [
    { key: "a", windowStart: 0, windowEnd: 10, value: 1, timestamp: 3 },
    { key: "a", windowStart: 10, windowEnd: 20, value: 2, timestamp: 14 },
  ]);
  assert.equal(driver.store("state").get("a", 10), 2);
  assert.deepEqual(driver.read("late"), [{ key: "a", value: 4, timestamp: 5 }]);
  assert.equal(driver.droppedRecords, 1);
  assert.deepEqual(
    driver.read("out").map(({ key }) => key),
    ["a@0/10", "a@10/20"],
  );
  await driver.close();
});

test("expired windows are dropped from the store as a whole", async () => {
  const driver = await createTestDriver(
    defineFunction<number, number>({ source: "in", window: tumbling(10, { retention: 40 }), reduce: (n = 0, add) => n + add }),
  );
  for (let timestamp = 0; timestamp < 500; timestamp += 5) driver.pipe("in", { key: `k${timestamp % 3}`, value: 1, timestamp });
  const starts = driver
    .store("state")
    .entries()
    .map(({ windowStart = 0 }) => windowStart);
  assert.deepEqual([Math.min(...starts), Math.max(...starts)], [460, 490]);
  await driver.close();
});

test("a directory of one's own is kept", async () => {
  const dir = await mkdtemp(join(tmpdir(), "keyfold-own-"));
  const driver = await createTestDriver(cart, { dir });
  driver.pipe("cart-events", add("a"));
  await driver.close();
  assert.ok(existsSync(join(dir, "0_0", "rocksdb", "state")));
  await rm(dir, { recursive: true });
});

test("names that do not exist are told with those that do", async () => {
  const driver = await createTestDriver(cart);
  assert.throws(() => driver.store("stat"), /no store "stat"; there are state/);
  await driver.close();
  const pass = await createTestDriver(defineFunction({ topology: stream("a").to("b") }));
  assert.throws(() => pass.state("x"), /no store that key reads use/);
  await pass.close();
});

test("what would test nothing is refused", async () => {
  const driver = await createTestDriver(cart);
  assert.throws(() => driver.pipe("cart-event", add("book")), { code: "topic-unknown", message: /"cart-event"; it reads cart-events/ });
  assert.throws(() => driver.pipe("cart-events", { value: 1 } as never), /key is a string or null/);
  assert.throws(() => driver.pipe("cart-events", { key: 5, value: 1 } as never), /key is a string or null, not number/);
  assert.throws(() => driver.pipe("cart-events", { key: "ann" } as never), /a tombstone has null/);
  for (const ms of [-1, Number.NaN, "5 minutes" as never]) assert.throws(() => driver.advanceWallClock(ms), /milliseconds from 0 on/);
  assert.deepEqual(driver.changelog("state"), []);
  await driver.close();
  for (const use of [() => driver.pipe("cart-events", add("book")), () => driver.commit(), () => driver.advanceWallClock(1)])
    assert.throws(use, { code: "store-closed", message: "the test driver is closed" });
  for (const options of [{ caches: 1 }, { cache: -1 }, { commitInterval: "1 s" }, { guarantee: "exactly_once" }])
    await assert.rejects(createTestDriver(cart, options as never), TypeError, JSON.stringify(options));
});

test("a windowed function's states are in its store, by window", async () => {
  const hourly = defineFunction({ source: stream<number>("hits"), window: tumbling("1 hour"), reduce: (n = 0) => n + 1 });
  const driver = await createTestDriver(hourly);
  driver.pipe("hits", { key: "a", value: 1, timestamp: 3_600_001 });
  assert.throws(() => driver.state("a"), { code: "store-type", message: /store\("state"\)\.get\(key, windowStart\)/ });
  assert.equal(driver.store("state").get("a", 3_600_000), 1);
  await driver.close();
});
