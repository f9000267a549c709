import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { after, before, test } from "node:test";
import fc from "fast-check";
import { JsonScanner } from "../../runtime/http/json-text.ts";
import { createPublicApp, type PublicApp } from "../../runtime/http/public-app.ts";
import { type Listening, listen } from "../../runtime/http/server.ts";
import { createTestHost, json, seed, type TestHost } from "./test-host.ts";

let host: TestHost;
let app: PublicApp;
let server: Listening;
const internal: unknown[] = [];

before(async () => {
  host = await createTestHost();
  app = createPublicApp(host, { report: (error) => internal.push(error) });
  server = await listen(app, { host: "127.0.0.1", port: 0 });
});
after(async () => {
  await server.close(200);
  await host.close();
});

const text = fc.oneof(
  fc.string({ maxLength: 40 }),
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.constantFrom("SFO", "%", "%2", "%2F", "..", "?", "#", "//", "\\", "count", "live", "1:2", "*", "a".repeat(5000)),
);
const segment = fc.oneof(
  fc.constantFrom("v1", "functions", "topics", "airport-stats", "keys", "records", "routes", "live", "metadata", "healthz", "SFO", ""),
  text,
  fc.string({ unit: "grapheme", maxLength: 40 }).map(encodeURIComponent),
);
const query = fc
  .array(
    fc.tuple(
      fc.oneof(fc.constantFrom("wait", "limit", "cursor", "from", "to", "prefix", "count", "at-least", "stale", "as-of", "key"), text),
      text,
    ),
    { maxLength: 3 },
  )
  .map((pairs) => pairs.map(([name, value]) => `${name}=${value}`).join("&"));
const target = fc.oneof(
  fc.tuple(fc.array(segment, { maxLength: 7 }), query).map(([segments, q]) => `/${segments.join("/")}${q === "" ? "" : `?${q}`}`),
  fc
    .tuple(fc.constantFrom("keys/SFO", "keys", "keys/SFO/live", "metadata", "routes/x"), query)
    .map(([path, q]) => `/v1/functions/airport-stats/${path}?${q}`),
);
const body = fc.oneof(
  fc.constant(undefined),
  fc.uint8Array({ maxLength: 300 }),
  fc.json().map((value) => Buffer.from(value)),
  fc
    .record(
      {
        key: fc.oneof(fc.string(), fc.constant(null), fc.integer()),
        value: fc.jsonValue(),
        timestamp: fc.oneof(fc.integer(), fc.double(), fc.string()),
        headers: fc.jsonValue(),
      },
      { requiredKeys: [] },
    )
    .map((value) => Buffer.from(JSON.stringify(value))),
  fc
    .array(fc.record({ key: fc.string(), value: fc.jsonValue() }), { maxLength: 5 })
    .map((lines) => Buffer.from(lines.map((line) => JSON.stringify(line)).join("\n"))),
);

test("whatever is asked: an answer, and a problem document when it is an error", async () => {
  const request = fc.record({
    method: fc.constantFrom("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"),
    target,
    type: fc.constantFrom("application/json", "application/x-ndjson", "text/plain", "application/json; charset=utf-16", ""),
    body,
  });
  await fc.assert(
    fc.asyncProperty(request, async ({ method, target: path, type, body: bytes }) => {
      const url = URL.canParse(`http://x${path}`) ? `http://x${path}` : "http://x/";
      const init: RequestInit = { method, headers: type === "" ? {} : { "content-type": type } };
      if (bytes !== undefined && method !== "GET" && method !== "HEAD") init.body = Uint8Array.from(bytes);
      const response = await app.hono.request(url, init);
      if (response.headers.get("content-type")?.startsWith("text/event-stream")) {
        await response.body?.cancel();
        return;
      }
      assert.ok(response.status < 500, `${method} ${url}: ${response.status}`);
      if (response.status >= 400 && method !== "HEAD") {
        assert.equal(response.headers.get("content-type"), "application/problem+json");
        const { code, status, detail } = (await response.json()) as { code: string; status: number; detail: string };
        assert.ok(code !== "internal" && status === response.status && detail !== "");
      }
    }),
    { seed, numRuns: 2_000 },
  );
  assert.deepEqual(internal, []);
  assert.equal(app.live.size, 0);
});

test("random bytes on the socket never take the server down", async () => {
  const line = fc.oneof(
    fc.constantFrom("POST /v1/functions/airport-stats/keys/a HTTP/1.1", "POST /v1/topics/t/records HTTP/1.1", "GET / HTTP/1.0"),
    fc.string({ maxLength: 30 }),
  );
  const header = fc.oneof(
    fc.constantFrom(
      "host: x",
      "content-length: 5",
      "content-length: 5000",
      "transfer-encoding: chunked",
      "connection: close",
      "expect: 100-continue",
      "upgrade: websocket",
      "content-type: application/x-ndjson",
    ),
    fc.string({ maxLength: 30 }),
  );
  const pieces = fc
    .tuple(line, fc.array(header, { maxLength: 5 }), fc.uint8Array({ maxLength: 40 }))
    .map(([first, headers, rest]) =>
      Buffer.concat([Buffer.from(`${first}\r\n${headers.map((each) => `${each}\r\n`).join("")}\r\n`), rest]),
    );
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(
        pieces,
        fc.uint8Array({ minLength: 1, maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
      ),
      fc.boolean(),
      async (bytes, half) => {
        const socket = connect(server.port, "127.0.0.1");
        socket.on("error", () => {});
        await once(socket, "connect");
        socket.write(half ? bytes.subarray(0, bytes.length / 2) : bytes);
        socket.end();
        socket.resume();
        await once(socket, "close");
      },
    ),
    { seed, numRuns: 300 },
  );
  assert.equal((await fetch(`${server.url}/healthz`)).status, 200);
  assert.deepEqual(internal, []);
});

test("deep JSON is valid JSON, and is handled", async () => {
  const deep = `${"[".repeat(1_500)}${"]".repeat(1_500)}`;
  for (const event of [deep, `${`{"a":`.repeat(600)}1${"}".repeat(600)}`]) {
    assert.equal((await app.hono.request("/v1/functions/airport-stats/keys/deep", json(event))).status, 200);
    assert.equal((await app.hono.request("/v1/topics/deep/records", json(`{"value":${event},"key":"deep"}`))).status, 200);
  }
  assert.equal((await app.hono.request("/v1/functions/airport-stats/keys/deep", json("[".repeat(4_000)))).status, 400);
});

test("the scanner finds what JSON.parse finds, in any spelling", () => {
  const space = fc.constantFrom("", " ", "\n", "\t \r\n");
  const spelled = fc.jsonValue({ maxDepth: 4 }).map((value) => JSON.stringify(value));
  const name = fc.oneof(
    fc.constantFrom('"value"', '"\\u0076alue"', '"valu"', '"values"', '"key"', '"va\\\\lue"', '"val\\"ue"'),
    fc.string({ maxLength: 8 }).map((value) => JSON.stringify(value)),
  );
  const member = fc.tuple(space, name, space, space, spelled, space).map(([a, key, b, c, value, d]) => `${a}${key}${b}:${c}${value}${d}`);
  const object = fc
    .tuple(fc.array(member, { maxLength: 6 }), space)
    .map(([members, s]) => `{${members.length === 0 ? s : members.join(",")}}`);
  fc.assert(
    fc.property(fc.array(object, { minLength: 1, maxLength: 4 }), space, (objects, s) => {
      const bytes = Buffer.from(`${s}[${s}${objects.join(`${s},${s}`)}${s}]${s}`);
      const scanner = new JsonScanner(bytes);
      for (const each of objects) {
        assert.ok(scanner.next());
        const { start, end } = scanner.member("value");
        const expected = JSON.parse(each) as { value?: unknown };
        if (!Object.hasOwn(expected, "value")) assert.equal(start, -1);
        else assert.deepEqual(JSON.parse(bytes.toString("utf8", start, end)), expected.value);
      }
      assert.equal(scanner.next(), false);
    }),
    { seed, numRuns: 2_000 },
  );
});
