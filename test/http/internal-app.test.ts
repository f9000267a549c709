import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { TailRecord } from "../../runtime/host/api.ts";
import { createInternalApp, type InternalApp } from "../../runtime/http/internal-app.ts";
import { createTestHost, problem, type TestHost } from "./test-host.ts";

let host: TestHost;
let app: InternalApp;
const request = (path: string, headers: Record<string, string> = {}, method = "GET"): Promise<Response> =>
  Promise.resolve(app.hono.request(path, { headers, method }));
const lines = (text: string): TailRecord[] =>
  text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as TailRecord);

before(async () => {
  host = await createTestHost();
  app = createInternalApp(host);
  for (let i = 0; i < 30; i++)
    await host.append("flights", [{ key: `k${i % 7}`, value: Buffer.from(JSON.stringify({ n: i })), timestamp: 1_000 + i }]);
});
after(async () => {
  app.endStreams();
  await host.close();
});

test("tasks, topics, hosts, metrics, health", async () => {
  const { tasks } = (await (await request("/v1/tasks")).json()) as { tasks: { task: string }[] };
  assert.equal(tasks[0]?.task, "0_0");
  const { topics } = (await (await request("/v1/topics")).json()) as { topics: { name: string; offsets: { end: number }[] }[] };
  assert.equal(
    topics.find(({ name }) => name === "flights")?.offsets.reduce((sum, { end }) => sum + end, 0),
    30,
  );
  assert.deepEqual(await (await request("/v1/hosts")).json(), { hosts: [{ id: "local", url: "http://127.0.0.1:1", tasks: 1 }] });
  const metrics = await request("/metrics");
  assert.equal(metrics.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  assert.match(await metrics.text(), /keyfold_up 1/);
  for (const path of ["/healthz", "/readyz"]) assert.equal((await request(path)).status, 200);
  await problem(await request("/v1/tasks?x=1"), 400, "bad-request");
});

test("records: all partitions, one, from an offset, with a limit", async () => {
  const all = lines(await (await request("/v1/topics/flights/records")).text());
  assert.deepEqual(
    all.map(({ value }) => (value as { n: number }).n).sort((a, b) => a - b),
    Array.from({ length: 30 }, (_, i) => i),
  );
  const partition = all[0]?.partition ?? assert.fail();
  const mine = all.filter((record) => record.partition === partition);
  assert.deepEqual(lines(await (await request(`/v1/topics/flights/records?partition=${partition}`)).text()), mine);
  assert.deepEqual(lines(await (await request(`/v1/topics/flights/records?partition=${partition}&from=2`)).text()), mine.slice(2));
  assert.deepEqual(
    lines(await (await request(`/v1/topics/flights/records?partition=${partition}&from=1&limit=2`)).text()),
    mine.slice(1, 3),
  );
  assert.equal(lines(await (await request("/v1/topics/flights/records?limit=7")).text()).length, 7);
  assert.deepEqual(lines(await (await request("/v1/topics/flights/records?from=latest")).text()), []);
});

test("records from a time on", async () => {
  for (const [from, first] of [
    ["@1010", 10],
    [encodeURIComponent(new Date(1_020).toISOString()), 20],
    ["@0", 0],
    ["@5000", 30],
  ] as const) {
    const found = lines(await (await request(`/v1/topics/flights/records?from=${from}`)).text()).map(
      ({ value }) => (value as { n: number }).n,
    );
    assert.deepEqual(
      found.sort((a, b) => a - b),
      Array.from({ length: 30 - first }, (_, i) => first + i),
    );
  }
});

test("one page as JSON, for clients that poll", async () => {
  const accept = { accept: "application/json" };
  const all = lines(await (await request("/v1/topics/flights/records?partition=1")).text());
  const page = (await (await request("/v1/topics/flights/records?partition=1&from=0&limit=2", accept)).json()) as {
    records: TailRecord[];
    next: number;
    end: number;
  };
  assert.deepEqual(page, { records: all.slice(0, 2), next: 2, end: all.length });
  const rest = (await (await request(`/v1/topics/flights/records?partition=1&from=${page.next}`, accept)).json()) as {
    records: TailRecord[];
    next: number;
  };
  assert.deepEqual(rest.records, all.slice(2));
  assert.equal(rest.next, all.length);
  await problem(await request("/v1/topics/flights/records", accept), 400, "bad-request");
});

test("following: what is appended later arrives, as lines or as events, until the reader goes", async () => {
  for (const [headers, pattern] of [
    [{}, /^\{"topic":"flights".*"late":true.*\}$/m],
    [{ accept: "text/event-stream" }, /^data: \{"topic":"flights".*"late":true.*\}$/m],
  ] as const) {
    const response = await request("/v1/topics/flights/records?from=latest&wait=forever", headers);
    const reader = response.body?.getReader() ?? assert.fail();
    await host.append("flights", [{ key: "x", value: Buffer.from('{"late":true}') }]);
    let text = "";
    while (!pattern.test(text)) text += new TextDecoder().decode((await reader.read()).value);
    await reader.cancel();
  }
  const ended = await request("/v1/topics/flights/records?from=latest&wait=30");
  assert.deepEqual(lines(await ended.text()), []);
});

test("a large topic is read at its reader's pace", async () => {
  let reads = 0;
  const read = host.read;
  const records = Array.from(
    { length: 100 },
    (_, i): TailRecord => ({ topic: "flights", partition: 0, offset: i, timestamp: 1, key: "k", value: "x".repeat(1_000) }),
  );
  host.read = async (_topic, _partition, position) => {
    reads++;
    return { records, next: position + 100, end: 1e9 };
  };
  host.topics = async () => [
    { name: "flights", partitions: 1, config: {}, internal: false, offsets: [{ partition: 0, start: 0, end: 1e9 }] },
  ];
  const response = await request("/v1/topics/flights/records");
  const reader = response.body?.getReader() ?? assert.fail();
  await reader.read();
  for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
  assert.ok(reads < 8, `${reads} reads of 100 kB for a reader that took one`);
  await reader.cancel();
  host.read = read;
});

test("bad requests", async () => {
  host.topics = async () => [
    {
      name: "flights",
      partitions: 4,
      config: {},
      internal: false,
      offsets: [0, 1, 2, 3].map((partition) => ({ partition, start: 0, end: 0 })),
    },
  ];
  assert.match((await problem(await request("/v1/topics/flihgts/records"), 404, "topic-unknown")).detail, /did you mean `flights`/);
  await problem(await request("/v1/topics/flights/records?partition=9"), 404, "partition-unknown");
  assert.match(
    (await problem(await request("/v1/topics/flights/records?from=3"), 400, "bad-request")).detail,
    /say which with `partition`/,
  );
  for (const query of ["from=yesterday", "from=-1", "wait=soon", "limit=0", "partition=x", "form=1"])
    await problem(await request(`/v1/topics/flights/records?${query}`), 400, "bad-request");
  assert.equal((await request("/v1/topics/flights/records?wait=forever", {}, "HEAD")).status, 200);
});

test("only loopback names, and no pages of other origins", async () => {
  const ask = (headers: Record<string, string>): Promise<Response> =>
    Promise.resolve(app.fetch(new Request("http://127.0.0.1:8788/v1/hosts", { headers }), {}));
  for (const host of ["127.0.0.1:8788", "localhost:8788", "[::1]:8788", "LOCALHOST"]) assert.equal((await ask({ host })).status, 200, host);
  await problem(await ask({ host: "evil.example:8788" }), 401, "unauthorized");
  await problem(await ask({ host: "127.0.0.1.evil.example" }), 401, "unauthorized");
  assert.equal((await ask({ host: "localhost:8788", origin: "http://localhost:8788" })).status, 200);
  for (const origin of ["https://evil.example", "http://localhost:3000", "null"])
    await problem(await ask({ host: "localhost:8788", origin }), 401, "unauthorized");
});
