import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { defineFunction, globalTable, stream, table } from "keyfold";
import { type Event, event, finals, type Manner, manner, runs, sorted, through } from "./harness.ts";

const values = fc.integer({ min: 1, max: 9 });

/** A crash under at-least-once may repeat results; here only where repeating does no harm. */
const exact = (how: Manner): Manner => ({
  ...how,
  restart: { ...how.restart, crash: how.restart.crash && how.options.guarantee === "exactly_once_v2" },
});

test("stream-stream joins: every pair within the window once, and what met nobody once", async () => {
  const input = fc.array(event(["left", "right"], values), { maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(
      input,
      fc.constantFrom("inner" as const, "left" as const, "outer" as const),
      fc.nat(12),
      fc.nat(12),
      manner,
      async (events, how, before, after, way) => {
        const window = { before, after, grace: 1_000, name: "j" };
        const left = stream<number>("left");
        const right = stream<number>("right");
        const pair = (l: number | null, r: number | null): string => `${l ?? "-"}+${r ?? "-"}`;
        const joined =
          how === "inner"
            ? left.join(right, pair, window)
            : how === "left"
              ? left.leftJoin(right, pair, window)
              : left.outerJoin(right, pair, window);
        // Far enough to close every window, and twice: a record is due only when a later one comes.
        const all: Event[] = [...events, { topic: "left", key: "end", value: 0, timestamp: 10_000 }];
        const expected: string[] = [];
        const lefts = events.filter((one) => one.topic === "left");
        const rights = events.filter((one) => one.topic === "right");
        const meets = (l: Event, r: Event): boolean =>
          l.key === r.key && r.timestamp >= l.timestamp - before && r.timestamp <= l.timestamp + after;
        for (const l of lefts) {
          const met = rights.filter((r) => meets(l, r));
          for (const r of met) expected.push(`${l.key} ${l.value}+${r.value} ${Math.max(l.timestamp, r.timestamp)}`);
          if (met.length === 0 && how !== "inner") expected.push(`${l.key} ${l.value}+- ${l.timestamp}`);
        }
        for (const r of rights)
          if (how === "outer" && !lefts.some((l) => meets(l, r))) expected.push(`${r.key} -+${r.value} ${r.timestamp}`);
        // An unmatched record whose window has passed when it comes is not held back: only then may a match come after it.
        const late = events.some((one, i) =>
          events.slice(0, i).some((earlier) => earlier.timestamp > one.timestamp + Math.min(before, after)),
        );
        if (late && how !== "inner") return;
        const out = await through(defineFunction({ topology: joined.to("out") }), all, exact(way), (driver) => driver.read<string>("out"));
        assert.deepEqual(out.map(({ key, value, timestamp }) => `${key} ${value} ${timestamp}`).sort(), expected.sort());
      },
    ),
    runs(40),
  );
});

test("stream-table and stream-global joins: each record with the row of its moment", async () => {
  const input = fc.array(event(["in", "users"], fc.option(values)), { maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(input, fc.boolean(), manner, async (events, global, way) => {
      const joined = global
        ? stream<number>("in").leftJoin(globalTable<number>("users"), (n, user) => `${n}:${user ?? "-"}`, { key: (_n, key) => key })
        : stream<number>("in").leftJoin(table<number>("users"), (n, user) => `${n}:${user ?? "-"}`);
      const rows = new Map<string, number>();
      const expected: string[] = [];
      for (const { topic, key, value } of events) {
        if (topic === "in" && value !== null) expected.push(`${key} ${value}:${rows.get(key) ?? "-"}`);
        if (topic === "users" && value !== null) rows.set(key, value);
        if (topic === "users" && value === null) rows.delete(key);
      }
      const out = await through(defineFunction({ topology: joined.to("out") }), events, exactInputs(way), (driver) =>
        driver.read<string>("out"),
      );
      assert.deepEqual(
        out.map(({ key, value }) => `${key} ${value}`),
        expected,
      );
    }),
    runs(30),
  );
});

/** Several inputs are merged by timestamp after a crash, as in Kafka Streams: not in the order in which they came. */
const exactInputs = (way: Manner): Manner => ({ ...way, restart: { ...way.restart, crash: false } });

test("table-table joins and what is grouped behind them agree with joining the final tables", async () => {
  const input = fc.array(event(["left", "right"], fc.option(values)), { maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(input, fc.constantFrom("inner" as const, "left" as const, "outer" as const), manner, async (events, how, way) => {
      const left = table<number>("left");
      const right = table<number>("right");
      const sum = (l: number | null, r: number | null): number => (l ?? 0) * 10 + (r ?? 0);
      const joined = how === "inner" ? left.join(right, sum) : how === "left" ? left.leftJoin(right, sum) : left.outerJoin(right, sum);
      const total = joined
        .groupBy(() => "all")
        .aggregate({ init: () => 0, add: (n, value) => n + value, subtract: (n, value) => n - value }, "total");
      const l = latest(events, "left");
      const r = latest(events, "right");
      const expected = new Map<string, number>();
      for (const key of new Set([...l.keys(), ...r.keys()])) {
        if ((how !== "outer" && !l.has(key)) || (how === "inner" && !r.has(key))) continue;
        expected.set(key, sum(l.get(key) ?? null, r.get(key) ?? null));
      }
      const seen = await through(defineFunction({ topology: [joined.to("out"), total] }), events, exactInputs(way), (driver) => ({
        rows: finals(driver, "out"),
        total: driver.store<number>("total").get("all") ?? 0,
      }));
      assert.deepEqual(seen, { rows: sorted(expected), total: [...expected.values()].reduce((a, b) => a + b, 0) });
    }),
    runs(30),
  );
});

test("foreign-key joins agree with joining the final tables", async () => {
  const order = fc.record({ f: fc.constantFrom("p", "q", "pq", null), n: values });
  const input = fc.array(
    fc.oneof(
      event<unknown>(["orders"], fc.option(order), 60, ["a", "b", "qa"]),
      event<unknown>(["products"], fc.option(values), 60, ["p", "q", "pq"]),
    ),
    { maxLength: 40 },
  );
  await fc.assert(
    fc.asyncProperty(input, fc.boolean(), manner, async (events, inner, way) => {
      type Order = { f: string | null; n: number };
      const orders = table<Order>("orders");
      const products = table<number>("products");
      const show = (o: Order, p: number | null): string => `${o.n}x${p ?? "-"}`;
      const joined = inner
        ? orders.joinBy(products, (o) => o.f, show, { store: "j" })
        : orders.leftJoinBy(products, (o) => o.f, show, { store: "j" });
      const rows = latest(events as readonly Event<number>[], "products");
      const expected = new Map<string, string>();
      for (const [key, value] of latest(events, "orders")) {
        const o = value as unknown as Order;
        const product = o.f === null ? undefined : rows.get(o.f);
        if (product !== undefined || !inner) expected.set(key, show(o, product ?? null));
      }
      const seen = await through(defineFunction({ topology: joined.to("out") }), events, exactInputs(way), (driver) => ({
        out: finals(driver, "out"),
        store: Object.fromEntries(
          driver
            .store("j")
            .entries()
            .map(({ key, value }) => [key, value]),
        ),
      }));
      assert.deepEqual(seen, { out: sorted(expected), store: sorted(expected) });
    }),
    runs(30),
  );
});

function latest<V>(events: readonly Event<V>[], topic: string): Map<string, V> {
  const rows = new Map<string, V>();
  for (const { topic: of, key, value } of events) {
    if (of !== topic) continue;
    if (value === null) rows.delete(key);
    else rows.set(key, value);
  }
  return rows;
}
