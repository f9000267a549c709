import assert from "node:assert/strict";
import { test } from "node:test";
import { createProject, type ReadRecord, type RunningEngine, readTopic, startEngine } from "../fixtures/engine.ts";

const VIEWS = `
import { defineFunction, stream, table, tumbling } from "keyfold";
type Click = { user: string; page: string; bot?: boolean };
export default defineFunction({
  source: stream<Click>("clicks")
    .filter((click) => !click.bot)
    .keyBy((click) => click.user)
    .join(table<{ plan: string }>("users"), (click, user) => ({ ...click, plan: user.plan }))
    .keyBy((click) => click.page + "/" + click.plan),
  window: tumbling("1 minute", { grace: 0 }),
  emit: "on-window-close",
  reduce: (n = 0) => n + 1,
  sink: "views",
});
`;

const ORDERS = `
import { defineFunction, table } from "keyfold";
const orders = table<{ product: string; n: number }>("orders");
const products = table<{ name: string }>("products");
export default defineFunction({
  topology: orders.leftJoinBy(products, (order) => order.product, (order, product) => order.n + " x " + (product?.name ?? "?"), { store: "labels" }).to("labels"),
});
`;

const PARTITIONS = {
  clicks: { partitions: 3 },
  users: { partitions: 2 },
  orders: { partitions: 3 },
  products: { partitions: 2 },
  views: { partitions: 1 },
  labels: { partitions: 1 },
};

for (const guarantee of ["at_least_once", "exactly_once_v2"] as const) {
  test(`joins, repartitions, windows and foreign keys over several partitions and restarts, ${guarantee}`, {
    timeout: 120_000,
  }, async () => {
    const project = await createProject({ views: VIEWS, orders: ORDERS });
    let run: RunningEngine | undefined;
    try {
      const config = await project.config({
        topics: PARTITIONS,
        "cache.max.bytes.buffering": 100_000,
        "commit.interval.ms": 20,
        "num.stream.threads": 2,
        "processing.guarantee": guarantee,
        "state.dir": `${project.dir}/state`,
      });
      run = await startEngine(config);
      const json = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));
      const people = Array.from({ length: 8 }, (_, i) => `user-${i}`);
      await run.api.append(
        "users",
        people.map((key, i) => ({ key, value: json({ plan: i % 2 === 0 ? "free" : "paid" }), timestamp: 0 })),
      );
      await run.api.append(
        "products",
        ["p0", "p1", "p2"].map((key) => ({ key, value: json({ name: key.toUpperCase() }), timestamp: 0 })),
      );
      await settled(run, "app-views-users-changelog", 8);
      const click = (i: number, timestamp: number) => ({
        key: `click-${i}`,
        value: json({ user: people[i % 8], page: `page-${i % 3}`, bot: i % 10 === 9 }),
        timestamp,
      });
      await run.api.append(
        "clicks",
        Array.from({ length: 90 }, (_, i) => click(i, i * 500)),
      );
      await run.api.append(
        "orders",
        Array.from({ length: 12 }, (_, i) => ({ key: `order-${i}`, value: json({ product: `p${i % 4}`, n: i }), timestamp: i })),
      );
      await settled(run, "labels", 12);
      await run.stop();
      run = await startEngine(config);
      // Every partition of every step must see a time past the window's end: clicks of every user on every page, later.
      await run.api.append(
        "clicks",
        Array.from({ length: 300 }, (_, i) => ({ ...click(i, 200_000), value: json({ user: people[i % 8], page: `later-${i}` }) })),
      );
      await run.api.append("products", [
        { key: "p3", value: json({ name: "late" }), timestamp: 5 },
        { key: "p0", value: null, timestamp: 6 },
      ]);
      const expected = new Map<string, number>();
      for (let i = 0; i < 90; i++) {
        if (i % 10 === 9) continue;
        const key = `page-${i % 3}/${i % 2 === 0 ? "free" : "paid"}@0/60000`;
        expected.set(key, (expected.get(key) ?? 0) + 1);
      }
      const views = await settled(run, "views", expected.size);
      assert.deepEqual(last(views.filter(({ key }) => key?.endsWith("@0/60000"))), Object.fromEntries([...expected].sort()));
      await settled(run, "labels", 18);
      const names = ["?", "P1", "P2", "late"];
      const labels = Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`order-${i}`, `${i} x ${names[i % 4]}`]).sort());
      assert.deepEqual(last(await readTopic(run.log, "labels")), labels);
    } finally {
      await run?.stop();
      await project.remove();
    }
  });
}

/** The topic's records, once there are so many. */
async function settled(run: RunningEngine, topic: string, count: number): Promise<ReadRecord[]> {
  for (;;) {
    const records = await readTopic(run.log, topic);
    if (records.length >= count) return records;
    const from = (await run.log.offsets([{ topic, partition: 0 }]))[0]?.end ?? 0;
    await run.log.fetch({ topic, partition: 0, position: from, maxBytes: 1, maxWaitMs: 50 });
  }
}

function last(records: readonly ReadRecord[]): Record<string, unknown> {
  const found = new Map(records.map(({ key, value }) => [key ?? "", value]));
  return Object.fromEntries([...found].sort(([a], [b]) => (a < b ? -1 : 1)));
}

const COUNTS = `
import { defineFunction, hopping } from "keyfold";
export default defineFunction({ source: "hits", window: hopping("1 minute", { advance: "30 seconds" }), reduce: (n = 0) => n + 1 });
`;

const PRICES = `
import { defineFunction, rocksdb } from "keyfold";
export default defineFunction<{ price: number | null }, { price: number }>({
  source: "prices",
  store: rocksdb({ history: "1 hour" }),
  reduce: (_state, event) => (event.price === null ? null : { price: event.price }),
});
`;

test("windows and history can be asked for", { timeout: 60_000 }, async () => {
  const project = await createProject({ counts: COUNTS, prices: PRICES });
  let run: RunningEngine | undefined;
  try {
    run = await startEngine(await project.config({ "commit.interval.ms": 100_000, "state.dir": `${project.dir}/state` }));
    const json = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));
    const [, hit] = await run.api.append(
      "hits",
      [10_000, 40_000, 70_000].map((timestamp) => ({ key: "a", value: json(1), timestamp })),
    );
    assert.ok(hit !== undefined);
    const windows = await run.api.get("counts", "a", { atLeast: { ...hit, offset: 2 }, from: 30_000, to: 90_000 });
    assert.deepEqual(JSON.parse(windows ?? ""), {
      key: "a",
      windows: [
        { start: 0, end: 60_000, value: 2 },
        { start: 30_000, end: 90_000, value: 2 },
        { start: 60_000, end: 120_000, value: 1 },
      ],
    });
    const listed = await run.api.list("counts", { limit: 10 });
    assert.deepEqual(
      listed.items.map((item) => JSON.parse(item).key),
      ["a@0/60000", "a@30000/90000", "a@60000/120000"],
    );
    const changes = [
      [1, 1_000],
      [2, 2_000],
      [null, 3_000],
      [4, 4_000],
    ] as const;
    const positions = await run.api.append(
      "prices",
      changes.map(([price, timestamp]) => ({ key: "x", value: json({ price }), timestamp })),
    );
    const last = positions.at(-1);
    assert.ok(last !== undefined);
    const price = async (query: { asOf?: number; atLeast?: typeof last }): Promise<unknown> =>
      JSON.parse((await run?.api.get("prices", "x", query)) ?? "null")?.value;
    assert.deepEqual(await price({ atLeast: last }), { price: 4 });
    const then = [await price({ asOf: 1_500 }), await price({ asOf: 2_000 }), await price({ asOf: 3_500 }), await price({ asOf: 4_500 })];
    assert.deepEqual(then, [{ price: 1 }, { price: 2 }, undefined, { price: 4 }]);
    const answer = JSON.parse(await run.api.invoke("prices", "x", json({ price: 5 }), "processed"));
    assert.deepEqual(answer.value, { price: 5 });
    await assert.rejects(run.api.get("counts", "a", { asOf: 5 }), /from and to/);
    await assert.rejects(run.api.get("prices", "x", { from: 5 }), /no windows/);
  } finally {
    await run?.stop();
    await project.remove();
  }
});
