import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { KeyfoldError } from "../../runtime/errors.ts";
import { Client } from "../../runtime/http/client.ts";
import { createInternalApp } from "../../runtime/http/internal-app.ts";
import { createPublicApp } from "../../runtime/http/public-app.ts";
import { type Listening, listen } from "../../runtime/http/server.ts";
import { createTestHost, type TestHost } from "./test-host.ts";

let host: TestHost;
let listeners: Listening[];
let client: Client;

before(async () => {
  host = await createTestHost();
  listeners = await Promise.all([
    listen(createPublicApp(host), { host: "127.0.0.1", port: 0 }),
    listen(createInternalApp(host), { host: "127.0.0.1", port: 0, loopbackOnly: true }),
  ]);
  client = new Client({ url: listeners[0]?.url ?? "", internalUrl: listeners[1]?.url ?? "" });
});
after(async () => {
  await Promise.all(listeners.map((listener) => listener.close(200)));
  await host.close();
});

test("events in, states out", async () => {
  const [position] = await client.append("client", [{ key: "a/b", value: { n: 1 } }]);
  assert.equal(position?.offset, 0);
  assert.equal((await client.appendLines("client", '{"key":"a/b","value":2}\n')).records, 1);
  const invoked = await client.invoke<{ n: number }>("airport-stats", "a/b ?", { n: 3 }, { wait: "processed" });
  assert.deepEqual(invoked.value, { n: 3 });
  assert.equal((await client.get("airport-stats", "a/b ?", { atLeast: { partition: 1, offset: 2 }, stale: true }))?.key, "a/b ?");
  assert.deepEqual(host.calls.get.at(-1), { atLeast: { partition: 1, offset: 2 }, stale: true });
  assert.equal(await client.get("airport-stats", "none"), undefined);
  for (const key of ["x1", "x2", "x3"]) await client.invoke("airport-stats", key, 1);
  const names: string[] = [];
  for await (const { key } of client.list("airport-stats", { prefix: "x", limit: 2 })) names.push(key);
  assert.deepEqual(names, ["x1", "x2", "x3"]);
  assert.equal(await client.count("airport-stats", { from: "x2" }), 2);
  assert.equal((await client.metadata("airport-stats", "x1")).active?.id, "local");
  assert.equal((await client.functions())[0]?.name, "airport-stats");
});

test("changes, as they come", async () => {
  const abort = new AbortController();
  const changes = client.live("airport-stats", "x1", abort.signal);
  const first = changes.next();
  while (host.subscribers.size === 0) await new Promise((resolve) => setImmediate(resolve));
  host.changed("x1", '{"key":"x1","value":9,"timestamp":1,"partition":0,"offset":4}');
  assert.deepEqual((await first).value, { key: "x1", value: 9, timestamp: 1, partition: 0, offset: 4 });
  abort.abort();
  await assert.rejects(changes.next(), { name: "AbortError" });
});

test("the internal listener", async () => {
  assert.equal((await client.tasks())[0]?.task, "0_0");
  assert.ok((await client.topics()).some(({ name }) => name === "client"));
  assert.equal((await client.hosts()).length, 1);
  assert.match(await client.metrics(), /keyfold_up/);
  const values: unknown[] = [];
  for await (const { value } of client.tail("client", { limit: 2 })) values.push(value);
  assert.deepEqual(values, [{ n: 1 }, 2]);
  await assert.rejects(new Client({ url: "http://127.0.0.1:1" }).tasks(), { code: "bad-request" });
});

test("problems come back as the errors they were made from", async () => {
  await assert.rejects(client.invoke("none", "a", 1), (error) => {
    assert.ok(error instanceof KeyfoldError);
    assert.equal(error.code, "function-unknown");
    assert.equal(error.details["function"], "none");
    assert.match(error.message, /no function "none"/);
    return true;
  });
  await assert.rejects(client.append("a b", [{ key: "a", value: 1 }]), { code: "bad-request" });
  await assert.rejects(client.tail("none").next(), { code: "topic-unknown" });
  await assert.rejects(client.get("airport-stats", ".."), { code: "bad-request" });
  const proxy = new Client({ url: "http://x", fetch: async () => new Response("<h1>Bad gateway</h1>", { status: 502 }) });
  await assert.rejects(proxy.functions(), { code: "internal" });
});
