import assert from "node:assert/strict";
import { test } from "node:test";
import {
  bytes,
  type Duration,
  defineFunction,
  hopping,
  json,
  KeyfoldError,
  msgpack,
  session,
  sliding,
  stream,
  tumbling,
  windowOf,
} from "keyfold";
import { durationMs } from "../../runtime/define/duration.ts";
import { compile } from "../../runtime/topology/compile.ts";

const compiled = (definition: unknown, settings = {}) => compile(definition, { name: "f", application: "app-f", settings });
const refuses = (make: () => unknown, message: RegExp): void => {
  assert.throws(make, (error) => error instanceof KeyfoldError && message.test(error.message), String(message));
};

test("durations: numbers and text", () => {
  const cases: [Duration, number][] = [
    ["1 hour", 3_600_000],
    ["5 minutes", 300_000],
    ["90s", 90_000],
    ["1.5 days", 129_600_000],
    ["250ms", 250],
    ["2 weeks", 1_209_600_000],
    [7, 7],
  ];
  for (const [text, ms] of cases) assert.equal(durationMs(text, "x"), ms);
  const bads: Duration[] = ["soon" as "1 x", "-5 s", "5 fortnights", -1, 1.5, Number.NaN];
  for (const bad of bads) refuses(() => durationMs(bad, "grace"), /grace.*is not a duration/);
});

test("codecs give back what they took", () => {
  const value = { text: "é", list: [1, null, { a: true }] };
  assert.deepEqual(json.decode(json.encode(value)), value);
  assert.deepEqual(json.decode(new Uint8Array(json.encode(value))), value);
  const rich = {
    when: new Date(5),
    map: new Map<unknown, unknown>([
      ["a", 1],
      [2, new Set(["b"])],
    ]),
    big: 10n ** 30n,
    bytes: Buffer.from("x"),
    floats: new Float64Array([1.5]),
  };
  assert.deepEqual(msgpack.decode(msgpack.encode(rich)), rich);
  assert.deepEqual(bytes.decode(bytes.encode("é")), Buffer.from("é"));
  assert.throws(() => json.encode(undefined), TypeError);
  assert.throws(() => json.decode(Buffer.from("{")), SyntaxError);
  assert.throws(() => msgpack.encode(() => 1), TypeError);
  assert.throws(() => bytes.encode(5), TypeError);
});

test("windows check their sizes, graces and retentions", () => {
  assert.deepEqual(tumbling("1 hour", { grace: "5 minutes" }), {
    kind: "time",
    sizeMs: 3_600_000,
    advanceMs: 3_600_000,
    graceMs: 300_000,
    retentionMs: 86_400_000,
  });
  assert.equal(hopping("2 days", { advance: "1 day" }).retentionMs, 2 * 86_400_000);
  refuses(() => tumbling(0), /longer than 0/);
  refuses(() => hopping(5, { advance: 6 }), /must not be longer/);
  refuses(() => tumbling("1 hour", { grace: "1 hour", retention: "90 minutes" }), /at least size \+ grace/);
  refuses(() => sliding("1 hour", { retention: "1 hour" }), /2 x difference/);
  refuses(() => session("1 hour", { retention: "1 minute" }), /gap \+ grace/);
  assert.deepEqual(windowOf("a@b@10/20"), { key: "a@b", start: 10, end: 20 });
});

test("definitions that cannot be meant are refused with a reason", () => {
  refuses(() => defineFunction({ source: "x", reduce: 5 } as never), /reduce must be a function/);
  refuses(() => defineFunction<number, number>({ source: [] as string[], reduce: () => 1, schemaVersion: 0 }), /schemaVersion/);
  refuses(
    () => defineFunction<number, number>({ source: "x", schemaVersion: 3, migrate: { 1: (s) => s }, reduce: () => 1 }),
    /migrate\[2\] is missing/,
  );
  refuses(() => defineFunction<number, number>({ source: "x", emit: "on-window-close", reduce: () => 1 }), /for reducers with a `window`/);
  refuses(() => defineFunction<number, number>({ source: "x", window: session(5), reduce: () => 1 }), /merge/);
  refuses(() => defineFunction<number, number>({ source: "x", ttl: {}, reduce: () => 1 }), /afterWrite or afterRead/);
  refuses(() => defineFunction({ topology: [] }), /list what the function comes to/);
  refuses(() => stream("a").join(stream("b"), () => 1, {}), /joined within a window/);
  refuses(() => compiled(undefined), /function "f".*missing/);
  refuses(() => compiled({ hello: 1 }), /default export/);
  refuses(() => compiled((n = 0) => n + 1), /has no source/);
  refuses(
    () => compiled(defineFunction<number, number>({ source: "x", window: tumbling(5), reduce: async () => 1 })),
    /async reducer needs a plain topic/,
  );
});

test("the config's settings win over those in the file", () => {
  const { settings, topology } = compiled(
    defineFunction<number, number>({ source: "a", sink: "b", onError: "fail", retries: 2, reduce: () => 1 }),
    { source: "c", retries: 9 },
  );
  assert.deepEqual(settings, { source: "c", sink: "b", onError: "fail", retries: 9 });
  assert.deepEqual(
    topology.subtopologies[0]?.sources.map(({ topic }) => topic),
    ["c"],
  );
});
