import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { createPublicApp, type PublicApp } from "../../runtime/http/public-app.ts";
import { createTestHost, json, problem, type TestHost } from "./test-host.ts";

const KEYS = "/v1/functions/airport-stats/keys";
let host: TestHost;
let app: PublicApp;
const request = (path: string, init?: RequestInit): Promise<Response> => Promise.resolve(app.hono.request(path, init));
const body = async (response: Response): Promise<unknown> => {
  assert.equal(response.status, 200, await response.clone().text());
  assert.equal(response.headers.get("content-type"), "application/json");
  return response.json();
};

before(async () => {
  host = await createTestHost();
  app = createPublicApp(host);
});
after(() => host.close());
beforeEach(() => {
  host.states.clear();
  host.reasons = [];
  for (const list of Object.values(host.calls)) list.length = 0;
});

describe("append", () => {
  test("one record, an array, and what they put into the log", async () => {
    const one = (await body(
      await request(
        "/v1/topics/one/records",
        json({ key: "SFO", value: { delay: 3 }, timestamp: 1_700_000_000_000, headers: { source: "test" } }),
      ),
    )) as { records: number; positions: unknown[] };
    assert.equal(one.records, 1);
    assert.equal(one.positions.length, 1);
    const many = (await body(
      await request(
        "/v1/topics/one/records",
        json([
          { key: "LAX", value: 1 },
          { key: null, value: "x" },
          { key: "SFO", value: null },
        ]),
      ),
    )) as { positions: { partition: number; offset: number }[] };
    const records = await host.records("one");
    const { partition: _, ...first } = records.find(({ headers }) => headers !== undefined) ?? assert.fail();
    assert.deepEqual(first, {
      key: "SFO",
      value: { delay: 3 },
      raw: '{"delay":3}',
      offset: 0,
      timestamp: 1_700_000_000_000,
      headers: { source: "test" },
    });
    for (const [i, key] of ["LAX", null, "SFO"].entries()) {
      const { partition, offset } = many.positions[i] ?? assert.fail();
      assert.equal(records.find((record) => record.partition === partition && record.offset === offset)?.key, key);
    }
    assert.equal(records.find(({ key, offset }) => key === "SFO" && offset > 0)?.raw, null, "a null value is a tombstone");
  });

  test("value bytes are kept exactly as sent", async () => {
    const values = ["12345678901234567890", "1e999", ' {"a" : [1, 2.50, "\\u00e9\\"}]"]} ', '"\\ud83d\\ude00"', "[]", "-0.0"];
    await body(await request("/v1/topics/exact/records", json(`[${values.map((value) => `{"value":${value},"key":"k"}`).join(" , ")}]`)));
    assert.deepEqual(
      (await host.records("exact")).map(({ raw }) => raw),
      values.map((value) => value.trim()),
    );
  });

  test("an empty array appends nothing", async () => {
    assert.deepEqual(await body(await request("/v1/topics/one/records", json([]))), { records: 0, positions: [] });
  });

  for (const [what, value, pattern] of [
    ["no key", { value: 1 }, /`key` is missing/],
    ["no value", { key: "a" }, /`value` is missing/],
    ["a number as key", { key: 1, value: 1 }, /`key` is a number/],
    ["an empty key", { key: "", value: 1 }, /the key is empty/],
    ["half a surrogate", '{"key":"\\ud800","value":1}', /surrogate/],
    ["an unknown member", { key: "a", value: 1, timestmap: 3 }, /did you mean `timestamp`/],
    ["a broken timestamp", { key: "a", value: 1, timestamp: "now" }, /`timestamp` is "now"/],
    ["a fractional timestamp", { key: "a", value: 1, timestamp: 1.5 }, /`timestamp` is 1.5/],
    ["a negative timestamp", { key: "a", value: 1, timestamp: -1 }, /`timestamp` is -1/],
    ["a header that is no string", { key: "a", value: 1, headers: { a: 1 } }, /header `a` is a number/],
    ["headers as an array", { key: "a", value: 1, headers: [] }, /`headers` is an array/],
    ["no object", "3", /a record is an object/],
    ["null", "null", /a record is an object/],
    ["a bad element", [{ key: "a", value: 1 }, 7], /record 1: a record is an object/],
    ["no JSON", "{", /the body is not JSON/],
    ["nothing", "", /the body is empty/],
    ["a key too long", { key: "k".repeat(65), value: 1 }, /65 bytes, the limit is 64 \(setting limits\["key.max.bytes"\]\)/],
    ["a key too long in bytes", { key: "é".repeat(33), value: 1 }, /66 bytes/],
  ] as const) {
    test(`${what} is refused`, async () => {
      const { detail } = await problem(await request("/v1/topics/refused/records", json(value)), 400, "bad-request");
      assert.match(detail, pattern);
    });
  }

  test("limits are named with value and setting", async () => {
    const large = await problem(await request("/v1/topics/t/records", json({ key: "a", value: "x".repeat(4096) })), 413, "limit-exceeded");
    assert.deepEqual(large.details, { setting: "record.max.bytes", limit: 4096, value: 4098 });
    const many = await problem(await request("/v1/topics/t/records", json(Array(101).fill({ key: "a", value: 1 }))), 413, "limit-exceeded");
    assert.match(many.detail, /101 records, the limit is 100 \(setting limits\["batch.max.records"\]\)/);
    const whole = await problem(await request("/v1/topics/t/records", json("x".repeat(70_000))), 413, "body-too-large");
    assert.equal(whole.details?.["setting"], "body.max.bytes");
  });

  test("topic names: Kafka's rules, and no internal topics", async () => {
    for (const name of ["a%20b", "a%2Fb", "%C3%A9", "x".repeat(250)])
      await problem(await request(`/v1/topics/${name}/records`, json({ key: "a", value: 1 })), 400, "bad-request");
    const { detail } = await problem(
      await request("/v1/topics/app-cart-cart-changelog/records", json({ key: "a", value: 1 })),
      400,
      "bad-request",
    );
    assert.match(detail, /internal topic/);
  });

  test("web pages of other origins: what a browser sends unasked is refused, and appends nothing", async () => {
    const record = '{"key":"a","value":1}';
    const page = (headers: Record<string, string>): RequestInit => ({ method: "POST", headers, body: Buffer.from(record) });
    await body(await request("/v1/topics/pages/records", page({})));
    for (const path of ["/v1/topics/pages/records", `${KEYS}/SFO`]) {
      for (const origin of ["https://elsewhere.example", "null", "http://127.0.0.1:3000"]) {
        const { detail } = await problem(await request(path, page({ origin, host: "127.0.0.1:8787" })), 415, "media-type-unsupported");
        assert.match(detail, /web page of another origin .*send application\/json/);
      }
      for (const type of [
        "text/plain",
        "text/plain;application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
      ])
        await problem(await request(path, page({ "content-type": type })), 415, "media-type-unsupported");
    }
    assert.equal((await host.records("pages")).length, 1);
    for (const headers of [
      { origin: "http://127.0.0.1:8787", host: "127.0.0.1:8787" },
      // Asked for by a preflight, which had no answer: what sends it is no browser.
      { origin: "https://elsewhere.example", host: "127.0.0.1:8787", "content-type": "application/json" },
    ])
      await body(await request("/v1/topics/pages/records", page(headers)));
    assert.equal((await host.records("pages")).length, 3);
  });

  test("media types", async () => {
    const form = await problem(
      await request("/v1/topics/t/records", {
        method: "POST",
        headers: { "content-type": "application/x-www-form-urlencoded" },
        body: "{}",
      }),
      415,
      "media-type-unsupported",
    );
    assert.match(form.detail, /curl's default/);
    await problem(
      await request("/v1/topics/t/records", {
        method: "POST",
        headers: { "content-type": "application/json; charset=latin1" },
        body: "{}",
      }),
      415,
      "media-type-unsupported",
    );
    await problem(
      await request("/v1/topics/t/records", {
        method: "POST",
        headers: { "content-type": "application/json", "content-encoding": "gzip" },
        body: "{}",
      }),
      415,
      "media-type-unsupported",
    );
    for (const type of ["application/json; charset=UTF-8", "APPLICATION/JSON", "application/cloudevents+json"]) {
      await body(
        await request("/v1/topics/t/records", { method: "POST", headers: { "content-type": type }, body: '{"key":"a","value":1}' }),
      );
    }
  });
});

describe("invoke", () => {
  test("hands the event's bytes on and answers with the state", async () => {
    const answer = await body(await request(`${KEYS}/SFO?wait=processed`, json('{"delay": 3.10}')));
    assert.deepEqual(answer, { key: "SFO", value: { delay: 3.1 }, timestamp: 1, partition: 2, offset: 0, version: "1" });
    assert.deepEqual(host.calls.invoke, [{ fn: "airport-stats", key: "SFO", event: '{"delay": 3.10}', wait: "processed" }]);
    await body(await request(`${KEYS}/SFO`, json("1")));
    assert.equal(host.calls.invoke[1]?.wait, "committed");
  });

  test("keys are decoded: slashes, percent signs, plus signs, any UTF-8", async () => {
    for (const key of ["a/b", "50%", "a+b c", "zürich/😀", "?#&=", "keys", "live", "\u0000\n", '"quoted"', "%2F", "..."]) {
      const { key: answered } = (await body(await request(`${KEYS}/${encodeURIComponent(key)}`, json("1")))) as { key: string };
      assert.equal(answered, key);
      assert.equal(((await body(await request(`${KEYS}/${encodeURIComponent(key)}`))) as { key: string }).key, key);
    }
  });

  test("bad input", async () => {
    await problem(await request(`${KEYS}/`, json("1")), 404, "not-found");
    await problem(await request(`${KEYS}/%zz`, json("1")), 400, "bad-request");
    await problem(await request(`${KEYS}/%ff%fe`, json("1")), 400, "bad-request");
    await problem(await request(`${KEYS}/${"k".repeat(65)}`, json("1")), 400, "bad-request");
    assert.match(
      (await problem(await request(`${KEYS}/a?wait=comitted`, json("1")), 400, "bad-request")).detail,
      /did you mean `committed`/,
    );
    assert.match((await problem(await request(`${KEYS}/a?weit=processed`, json("1")), 400, "bad-request")).detail, /did you mean `wait`/);
    await problem(await request(`${KEYS}/a?wait=processed&wait=processed`, json("1")), 400, "bad-request");
    for (const event of ["", "{", "nul", "[1,]", "'a'", "\ufeff1", "1 2"])
      await problem(await request(`${KEYS}/a`, json(event)), 400, "bad-request");
    assert.match(
      (await problem(await request(`${KEYS}/a`, json("\ufeff1")), 400, "bad-request")).detail,
      /^the event begins with a byte order mark/,
    );
    await problem(await request(`${KEYS}/a`, { method: "POST", body: new Uint8Array([0x22, 0xff, 0x22]) }), 400, "bad-request");
    await problem(await request(`${KEYS}/a`, json(`"${"x".repeat(5000)}"`)), 413, "limit-exceeded");
    await problem(await request("/v1/functions/other/keys/a", json("1")), 404, "function-unknown");
    await problem(
      await request(`${KEYS}/a`, { method: "POST", headers: { "content-type": "text/plain" }, body: "1" }),
      415,
      "media-type-unsupported",
    );
    assert.equal(host.calls.invoke.length, 0);
  });
});

describe("read", () => {
  test("one key and its query", async () => {
    await request(`${KEYS}/SFO`, json("5"));
    const state = (await body(await request(`${KEYS}/SFO?at-least=2:17&stale=allow`))) as { value: number };
    assert.equal(state.value, 5);
    await request(`${KEYS}/SFO?from=10&to=20`);
    await request(`${KEYS}/SFO?as-of=99`);
    assert.deepEqual(host.calls.get, [{ atLeast: { partition: 2, offset: 17 }, stale: true }, { from: 10, to: 20 }, { asOf: 99 }]);
    const missing = await problem(await request(`${KEYS}/NONE`), 404, "not-found");
    assert.deepEqual(missing.details, { function: "airport-stats", key: "NONE" });
  });

  test("bad queries", async () => {
    for (const query of [
      "at-least=3",
      "at-least=a:b",
      "at-least=-1:2",
      "at-least=1:99999999999999999",
      "stale=yes",
      "as-of=x",
      "as-of=1.5",
      "from=-3",
      "from=20&to=10",
      "as-of=3&from=2",
      "form=3",
      "%zz=1",
      "limit=3",
    ]) {
      await problem(await request(`${KEYS}/SFO?${query}`), 400, "bad-request");
    }
    assert.equal(host.calls.get.length, 0);
  });

  test("pages, ranges, prefixes, counts", async () => {
    for (const key of ["LAX", "SAN", "SEA", "SFO", "SJC"]) await request(`${KEYS}/${key}`, json("1"));
    const names: string[] = [];
    let cursor: string | null = "";
    do {
      const page = (await body(await request(`${KEYS}?prefix=S&limit=3${cursor === "" ? "" : `&cursor=${cursor}`}`))) as {
        items: { key: string; value: unknown; timestamp: number }[];
        cursor: string | null;
      };
      names.push(...page.items.map(({ key }) => key));
      cursor = page.cursor;
    } while (cursor !== null);
    assert.deepEqual(names, ["SAN", "SEA", "SFO", "SJC"]);
    assert.deepEqual(host.calls.list[0], { limit: 3, prefix: "S" });
    assert.deepEqual(await body(await request(`${KEYS}?from=SB&to=SK&count`)), { count: 3 });
    assert.deepEqual(await body(await request(`${KEYS}?count=true`)), { count: 5 });
    assert.equal(((await body(await request(`${KEYS}?count=false`))) as { items: unknown[] }).items.length, 5);
    assert.equal(((await body(await request(`${KEYS}?count=false&limit=2`))) as { items: unknown[] }).items.length, 2);
    for (const query of ["limit=0", "limit=101", "limit=ten", "count&limit=3", "count=maybe", "prefx=a"])
      await problem(await request(`${KEYS}?${query}`), 400, "bad-request");
  });

  test("metadata", async () => {
    const metadata = (await body(await request("/v1/functions/airport-stats/metadata?key=a%2Fb"))) as {
      partition: number;
      active: unknown;
      standbys: unknown[];
    };
    assert.deepEqual(Object.keys(metadata), ["partition", "active", "standbys"]);
    await problem(await request("/v1/functions/airport-stats/metadata"), 400, "bad-request");
    await problem(await request("/v1/functions/none/metadata?key=a"), 404, "function-unknown");
  });
});

describe("function routes", () => {
  test("method, path, query, headers and body reach the function, its answer the client", async () => {
    host.routeAnswer = () => ({
      status: 201,
      headers: [
        ["set-cookie", "a=1"],
        ["set-cookie", "b=2"],
        ["connection", "close"],
        ["x-mine", "yes"],
      ],
      body: Buffer.from([0, 255]),
    });
    const response = await request("/v1/functions/airport-stats/routes/deep/path%2Fx?a=1&a=2", {
      method: "PUT",
      headers: { "x-test": "1" },
      body: "hello",
    });
    assert.equal(response.status, 201);
    assert.deepEqual(response.headers.getSetCookie(), ["a=1", "b=2"]);
    assert.equal(response.headers.get("x-mine"), "yes");
    assert.equal(response.headers.get("connection"), null);
    assert.deepEqual(new Uint8Array(await response.arrayBuffer()), new Uint8Array([0, 255]));
    const [call] = host.calls.route;
    assert.equal(call?.method, "PUT");
    assert.equal(call?.path, "/deep/path%2Fx?a=1&a=2");
    assert.equal(Buffer.from(call?.body ?? []).toString(), "hello");
    assert.ok(call?.headers.some(([name, value]) => name === "x-test" && value === "1"));
  });

  test("the bare path is /, HEAD and bodiless statuses work, nonsense is a problem", async () => {
    host.routeAnswer = () => ({ status: 204, headers: [], body: Buffer.from("ignored") });
    assert.equal((await request("/v1/functions/airport-stats/routes")).status, 204);
    assert.equal((await request("/v1/functions/airport-stats/routes?x=1", { method: "HEAD" })).status, 204);
    assert.deepEqual(
      host.calls.route.map(({ method, path }) => [method, path]),
      [
        ["GET", "/"],
        ["HEAD", "/?x=1"],
      ],
    );
    host.routeAnswer = () => ({ status: 99, headers: [], body: null });
    await problem(await request("/v1/functions/airport-stats/routes/"), 422, "function-invalid");
    await problem(
      await request("/v1/functions/airport-stats/routes/", { method: "POST", body: "x".repeat(70_000) }),
      413,
      "body-too-large",
    );
  });
});

describe("status", () => {
  test("functions", async () => {
    const { functions } = (await body(await request("/v1/functions"))) as { functions: Record<string, unknown>[] };
    assert.deepEqual(functions, [
      {
        name: "airport-stats",
        version: "0123456789abcdef",
        state: "RUNNING",
        sources: ["flights"],
        sinks: ["daily"],
        stores: ["airport-stats"],
        lag: 0,
        topics: ["flights", "daily"],
        invoke: true,
        routes: true,
      },
    ]);
  });

  test("health and readiness", async () => {
    assert.deepEqual(await body(await request("/healthz")), { status: "healthy" });
    assert.deepEqual(await body(await request("/readyz")), { status: "ready" });
    host.reasons = ["function a: failed", "disk is full"];
    for (const path of ["/healthz", "/readyz"])
      assert.deepEqual((await problem(await request(path), 503, "not-ready"))["reasons"], host.reasons);
  });
});
