import assert from "node:assert/strict";
import { once } from "node:events";
import { get as httpGet, type IncomingMessage } from "node:http";
import { after, before, test } from "node:test";
import { LiveClients } from "../../runtime/http/live-clients.ts";
import { createPublicApp, type PublicApp } from "../../runtime/http/public-app.ts";
import { type Listening, listen } from "../../runtime/http/server.ts";
import { createTestHost, problem, type TestHost } from "./test-host.ts";

const LIVE = "/v1/functions/airport-stats/keys/SFO/live";
const decoder = new TextDecoder();
let host: TestHost;
let app: PublicApp;
let server: Listening;

before(async () => {
  host = await createTestHost();
  app = createPublicApp(host, { heartbeatMs: 20 });
  server = await listen(app, { host: "127.0.0.1", port: 0 });
});
after(async () => {
  await server.close(1_000);
  await host.close();
});

/** Reads until the text says enough. */
async function readUntil(reader: ReadableStreamDefaultReader<Uint8Array>, enough: (text: string) => boolean): Promise<string> {
  let text = "";
  while (!enough(text)) {
    const { done, value } = await reader.read();
    if (done) return text;
    text += decoder.decode(value);
  }
  return text;
}

async function settled(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

test("changes of a key, of a function, heartbeats, and the end when the client goes", async () => {
  const abort = new AbortController();
  const one = await fetch(server.url + LIVE, { signal: abort.signal });
  assert.equal(one.headers.get("content-type"), "text/event-stream; charset=utf-8");
  const all = await fetch(`${server.url}/v1/functions/airport-stats/live`, { signal: abort.signal });
  assert.equal(host.subscribers.size, 2);
  host.changed("SFO", '{"key":"SFO","value":1}');
  host.changed("LAX", '{"key":"LAX","value":2}');
  const [ones, alls] = [one.body?.getReader(), all.body?.getReader()];
  assert.ok(ones && alls);
  const text = await readUntil(alls, (seen) => seen.includes("LAX"));
  assert.ok(text.includes('data: {"key":"SFO","value":1}\n\ndata: {"key":"LAX","value":2}\n\n'), text);
  const mine = await readUntil(ones, (seen) => (seen.match(/^:$/gm) ?? []).length >= 2);
  assert.ok(mine.includes('data: {"key":"SFO","value":1}\n\n') && !mine.includes("LAX"), mine);
  abort.abort();
  await settled(() => host.subscribers.size === 0 && app.live.size === 0);
});

test("no more streams than live.max.clients", async () => {
  const abort = new AbortController();
  for (let i = 0; i < 3; i++) await fetch(server.url + LIVE, { signal: abort.signal });
  const refused = await fetch(server.url + LIVE);
  assert.equal(refused.headers.get("retry-after"), "1");
  assert.match(
    (await problem(refused, 503, "limit-exceeded")).detail,
    /3 live streams are open, the limit is 3 \(setting limits\["live.max.clients"\]\)/,
  );
  abort.abort();
  await settled(() => app.live.size === 0);
});

test("errors come before the stream, HEAD opens none, parameters are checked", async () => {
  await problem(await fetch(`${server.url}/v1/functions/none/live`), 404, "function-unknown");
  await problem(await fetch(`${server.url + LIVE}?from=1`), 400, "bad-request");
  assert.equal((await fetch(server.url + LIVE, { method: "HEAD" })).status, 200);
  assert.equal(app.live.size, 0);
  assert.equal(host.subscribers.size, 0);
});

test("a slow client gets the last change of each key, and is dropped when that is too much", async () => {
  const clients = new LiveClients({ limit: 10 });
  let send: (json: string) => void = assert.fail;
  let subscribed = true;
  let cut = false;
  const subscribe = (listener: (json: string) => void): (() => void) => {
    send = listener;
    return () => {
      subscribed = false;
    };
  };
  const response = clients.open(subscribe, () => {
    cut = true;
  });
  const pad = "x".repeat(1_000);
  for (let i = 0; i < 5_000; i++) send(`{"key":"k${i % 10}","value":${i},"pad":"${pad}"}`);
  const reader = response.body?.getReader() ?? assert.fail();
  const text = await readUntil(reader, (seen) => seen.includes('"value":4999,'));
  assert.ok(text.length < 100_000, `${text.length} characters for 5 MB of changes`);
  for (let key = 0; key < 10; key++) assert.ok(text.includes(`{"key":"k${key}","value":${4_990 + key},`), `last change of k${key}`);
  // In order: what comes later for a key is newer.
  const values = [...text.matchAll(/"key":"k3","value":(\d+)/g)].map(([, value]) => Number(value));
  assert.deepEqual(
    values,
    [...values].sort((a, b) => a - b),
  );
  for (let i = 0; subscribed; i++) {
    assert.ok(i < 3_000, "never dropped");
    send(`{"key":"k${i}","value":${i},"pad":"${pad}"}`);
  }
  assert.equal(clients.dropped, 1);
  assert.equal(clients.size, 0);
  assert.ok(cut);
});

test("a client that stops reading its socket costs bounded memory and is dropped", async () => {
  const request = httpGet(server.url + LIVE);
  const [response] = (await once(request, "response")) as [IncomingMessage];
  response.pause();
  response.on("error", () => {});
  await settled(() => host.subscribers.size === 1);
  const before = process.memoryUsage().arrayBuffers;
  const text = `{"value":"${"y".repeat(100_000)}"}`;
  const different = (i: number): string => `{"key":"k${i}",${text.slice(1)}`;
  for (let i = 0; app.live.size > 0; i++) {
    assert.ok(i < 2_000, "never dropped");
    host.changed("SFO", different(i));
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(process.memoryUsage().arrayBuffers - before < 64 << 20);
  await new Promise((resolve) => response.resume().on("close", resolve));
});

test("closing the host ends open streams and lets none be opened", async () => {
  const mine = createPublicApp(host);
  const other = await listen(mine, { host: "127.0.0.1", port: 0 });
  const response = await fetch(other.url + LIVE);
  const text = response.text();
  await other.close();
  assert.match(await text, /: live/);
  assert.equal(mine.live.size, 0);
  await problem(await mine.hono.request(LIVE), 503, "not-ready");
});
