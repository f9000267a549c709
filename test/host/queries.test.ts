import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createProject, type Project, type RunningEngine, startEngine } from "../fixtures/engine.ts";
import { until } from "../fixtures/until.ts";

const LAST = `
import { Hono } from "hono";
import { defineFunction } from "keyfold";
export default defineFunction<{ n: number | null }, { n: number }>({ source: "events", reduce: (_state, event) => (event.n === null ? null : { n: event.n }) });
export const routes = new Hono<{ Bindings: { state: { get(key: string): Promise<{ value: { n: number } } | undefined>; list(options?: object): Promise<{ key: string }[]> } } }>()
  .get("/double/:key", async (c) => {
    const entry = await c.env.state.get(c.req.param("key"));
    return entry === undefined ? c.json({ missing: true }, 404) : c.json({ double: entry.value.n * 2 });
  })
  .get("/keys", async (c) => c.json((await c.env.state.list({ prefix: "a" })).map(({ key }) => key)))
  .post("/echo", async (c) => c.text(await c.req.text(), 201, { "x-from": "routes" }))
  .get("/throws", () => { throw new Error("from a route"); })
  .get("/throws-text", () => { throw "from a route"; })
  .get("/never", (c) => new Promise<Response>((resolve) => c.req.raw.signal.addEventListener("abort", () => resolve(c.text("late")))))
  .get("/dribbles", () => new Response(new ReadableStream({ start(controller) { controller.enqueue(Buffer.from("a")); } })))
  .get("/endless", () => new Response(new ReadableStream({ pull(controller) { controller.enqueue(new Uint8Array(65536)); } })));
`;
const HOURLY = `
import { defineFunction, tumbling } from "keyfold";
export default defineFunction<{ n: number }, number>({ source: "hourly-events", window: tumbling("1 hour"), reduce: (n = 0) => n + 1 });
`;
const SLOW = `
import { defineFunction } from "keyfold";
export default defineFunction<{ n: number }, number>({
  source: "slow-events",
  async reduce(_n, event) { await new Promise((resolve) => setTimeout(resolve, 30)); return event.n; },
});
`;

describe("reading what functions know", () => {
  let project: Project;
  let run: RunningEngine;
  before(async () => {
    project = await createProject({ last: LAST, slow: SLOW, hourly: HOURLY });
    run = await startEngine(
      await project.config({
        "state.dir": `${project.dir}/state`,
        "num.stream.threads": 2,
        defaultPartitions: 4,
        limits: { "wait.max.ms": 500, "body.max.bytes": 1 << 20 },
      }),
    );
  });
  after(async () => {
    await run?.stop();
    await project?.remove();
  });

  const put = async (entries: Record<string, number | null>, topic = "events") => {
    const records = Object.entries(entries).map(([key, n]) => ({ key, value: Buffer.from(JSON.stringify({ n })), timestamp: 5_000 }));
    const positions = await run.api.append(topic, records);
    if (topic === "events")
      for (const [i, { key }] of records.entries())
        await run.api.get("last", key, { atLeast: positions[i] as { partition: number; offset: number } });
    return positions;
  };
  const keysOf = async (query: Parameters<typeof run.api.list>[1]): Promise<string[]> => {
    const keys: string[] = [];
    for (let cursor: string | null | undefined; cursor !== null; ) {
      const page = await run.api.list("last", { ...query, ...(cursor === undefined ? {} : { cursor }) });
      assert.ok(page.items.length <= query.limit);
      keys.push(...page.items.map((item) => (JSON.parse(item) as { key: string }).key));
      cursor = page.cursor;
    }
    return keys;
  };
  const byBytes = (keys: string[]): string[] => keys.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));

  test("pages over all partitions, in the order of the keys' bytes, dirty and committed alike", async () => {
    const keys = ["a", "aa", "ab", "a/b", "a?", "é", "z", "zz", "日本", "\u{1f600}", "\uffee", "", " ", "A", "%"].filter(
      (key) => key !== "",
    );
    await put(Object.fromEntries(keys.map((key, i) => [key, i])));
    const all = byBytes([...keys]);
    for (const limit of [1, 2, 3, 7, 100]) assert.deepEqual(await keysOf({ limit }), all, `pages of ${limit}`);
    for (const limit of [1, 100]) {
      assert.deepEqual(
        await keysOf({ limit, prefix: "a" }),
        all.filter((key) => key.startsWith("a")),
      );
      assert.deepEqual(
        await keysOf({ limit, from: "aa", to: "é" }),
        all.filter(
          (key) => Buffer.compare(Buffer.from(key), Buffer.from("aa")) >= 0 && Buffer.compare(Buffer.from(key), Buffer.from("é")) < 0,
        ),
      );
      assert.deepEqual(await keysOf({ limit, prefix: "none" }), []);
      assert.deepEqual(await keysOf({ limit, prefix: "a", from: "b" }), []);
    }
    assert.equal(await run.api.count("last", { limit: 1, prefix: "z" }), 2);
    assert.equal(await run.api.count("last", { limit: 1 }), keys.length);
    await assert.rejects(run.api.list("last", { limit: 1, cursor: "!!" }), { code: "bad-request" });
    await put({ aa: null });
    assert.equal(await run.api.get("last", "aa", {}), undefined);
    assert.deepEqual(await keysOf({ limit: 2, prefix: "a" }), byBytes(["a", "ab", "a/b", "a?"]));
  });

  test("the empty key, which other functions and clients may write, is passed like any other", async () => {
    await put({ "": 1 });
    for (const limit of [1, 2]) assert.equal((await keysOf({ limit }))[0], "");
    await put({ "": null });
  });

  test("there is more behind a cursor", async () => {
    const { items } = await run.api.list("last", { limit: 100 });
    assert.equal((await run.api.list("last", { limit: items.length })).cursor, null);
    assert.equal((await run.api.list("last", { limit: 1, prefix: "日" })).cursor, null);
  });

  test("at-least: waits for the position, and says so when it does not come", async () => {
    const [position] = await put({ waited: 7 });
    assert.ok(position);
    assert.equal((JSON.parse((await run.api.get("last", "waited", { atLeast: position })) ?? "") as { value: { n: number } }).value.n, 7);
    const future = { partition: position.partition, offset: position.offset + 1_000 };
    await assert.rejects(run.api.get("last", "waited", { atLeast: future }), { code: "timeout", message: /not reached within 500 ms/ });
    await assert.rejects(run.api.get("last", "waited", { atLeast: { partition: (position.partition + 1) % 4, offset: 0 } }), {
      code: "bad-request",
    });
  });

  test("at-least with an async reducer: what is under way is waited for", async () => {
    for (let n = 1; n <= 3; n++) {
      const [position] = await put({ slow: n }, "slow-events");
      assert.ok(position);
      assert.equal(
        (JSON.parse((await run.api.get("slow", "slow", { atLeast: position })) ?? "null") as { value: number } | null)?.value,
        n,
      );
    }
  });

  test("live: the changes of a key, of all keys, and none after the end", async () => {
    const one: string[] = [];
    const all: string[] = [];
    const offOne = run.api.live("last", "live-a", (json) => one.push(json));
    const offAll = run.api.live("last", undefined, (json) => all.push(json));
    const positions = await put({ "live-a": 1 });
    await put({ "live-b": 2 });
    await put({ "live-a": null });
    await until("they are told", () => one.length === 2 && all.length === 3);
    assert.deepEqual(JSON.parse(one[0] ?? ""), {
      key: "live-a",
      value: { n: 1 },
      timestamp: 5_000,
      partition: positions[0]?.partition,
      offset: positions[0]?.offset,
    });
    assert.equal((JSON.parse(one[1] ?? "") as { value: unknown }).value, null);
    offOne();
    offOne();
    await put({ "live-a": 3 });
    await until("the other one is told", () => all.length === 4);
    assert.equal(one.length, 2);
    offAll();
    await put({ "live-a": 4 });
    assert.equal(all.length, 4);
    assert.throws(() => run.api.live("nothing", undefined, () => {}), { code: "function-unknown" });
  });

  test("live: a key of a windowed function is the record's, its changes are those of windows", async () => {
    const told: string[] = [];
    const off = run.api.live("hourly", "a@b", (json) => told.push((JSON.parse(json) as { key: string }).key));
    const records = ["a@b", "other"].map((key) => ({ key, value: Buffer.from('{"n":1}'), timestamp: 3_600_001 }));
    await run.api.append("hourly-events", records);
    await until("it is told", () => told.length > 0);
    assert.deepEqual(told, ["a@b@3600000/7200000"]);
    off();
  });

  test("routes that throw, answer nothing, never or without end are told from those that work", async () => {
    const route = (path: string) => run.api.route("last", { method: "GET", path, headers: [], body: null });
    await assert.rejects(route("/throws-text"), { code: "function-invalid", message: /GET \/throws-text of last threw from a route/ });
    await assert.rejects(route("/never"), { code: "timeout", message: /GET \/never of last .* 500 ms/ });
    await assert.rejects(route("/dribbles"), { code: "timeout" });
    await assert.rejects(route("/endless"), { code: "function-invalid", message: /more than 1048576 bytes/ });
  });

  test("a function's own routes read its state wherever it is", async () => {
    await put({ r1: 1, r2: 2, r3: 3, r4: 4 });
    const route = async (method: string, path: string, body: string | null = null) => {
      const answer = await run.api.route("last", { method, path, headers: [], body: body === null ? null : Buffer.from(body) });
      return { ...answer, text: Buffer.from(answer.body ?? []).toString() };
    };
    for (let n = 1; n <= 4; n++) assert.deepEqual(JSON.parse((await route("GET", `/double/r${n}`)).text), { double: 2 * n });
    assert.equal((await route("GET", "/double/none")).status, 404);
    assert.deepEqual(JSON.parse((await route("GET", "/keys")).text), await keysOf({ limit: 100, prefix: "a" }));
    const echo = await route("POST", "/echo", "hello");
    assert.deepEqual([echo.status, echo.text, new Map(echo.headers).get("x-from")], [201, "hello", "routes"]);
    assert.equal((await route("GET", "/throws")).status, 500);
    assert.equal((await route("GET", "/no-such-path")).status, 404);
    await assert.rejects(async () => run.api.route("slow", { method: "GET", path: "/", headers: [], body: null }), { code: "not-found" });
  });
});
