import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import fc from "fast-check";
import { createPublicApp, type PublicApp } from "../../runtime/http/public-app.ts";
import { createTestHost, ndjson, problem, seed, type TestHost } from "./test-host.ts";

let host: TestHost;
let app: PublicApp;
let topics = 0;
const send = (topic: string, body: string | ReadableStream<Uint8Array>): Promise<Response> =>
  Promise.resolve(app.hono.request(`/v1/topics/${topic}/records`, ndjson(body)));
const fresh = (): string => `t${topics++}`;

before(async () => {
  host = await createTestHost();
  app = createPublicApp(host);
});
after(() => host.close());
beforeEach(() => {
  host.onAppend = () => {};
});

/** The text's bytes in pieces that end anywhere, in the middle of characters too. */
function pieces(text: string, sizes: readonly number[]): ReadableStream<Uint8Array> {
  const bytes = Buffer.from(text);
  let at = 0;
  let n = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.length) return controller.close();
      const size = sizes[n++ % sizes.length] ?? 1;
      controller.enqueue(Uint8Array.from(bytes.subarray(at, at + size)));
      at += size;
    },
  });
}

test("any lines in any pieces: every record is appended once, in order, and the last offsets are answered", async () => {
  const value = fc.jsonValue({ maxDepth: 2 }).filter((x) => JSON.stringify(x).length < 3000);
  const record = fc.record({ key: fc.oneof(fc.constant(null), fc.constantFrom("a", "b", "ü", "d")), value });
  await fc.assert(
    fc.asyncProperty(
      fc.array(record, { minLength: 1, maxLength: 250 }),
      fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 4 }),
      fc.constantFrom("\n", "\r\n", "\n\n"),
      fc.boolean(),
      async (records, sizes, end, last) => {
        const topic = fresh();
        const text = records.map((each) => JSON.stringify(each)).join(end) + (last ? end : "");
        const response = await send(topic, pieces(text, sizes));
        const answer = (await response.json()) as { records: number; positions: { partition: number; offset: number }[] };
        assert.equal(response.status, 200, JSON.stringify(answer));
        assert.equal(answer.records, records.length);
        const appended = await host.records(topic);
        for (const { partition, offset } of answer.positions) {
          const mine = appended.filter((each) => each.partition === partition);
          assert.equal(mine.at(-1)?.offset, offset);
        }
        for (const key of new Set(records.map((each) => each.key))) {
          const values = (rows: readonly { key: string | null; value: unknown }[]): unknown[] =>
            rows.filter((each) => each.key === key).map((each) => each.value);
          assert.deepEqual(JSON.stringify(values(appended)), JSON.stringify(values(records)));
        }
      },
    ),
    { seed, numRuns: 40 },
  );
});

test("an invalid line stops it: its number, what was appended before it, and where", async () => {
  const topic = fresh();
  const lines = ['{"key":"a","value":1}', "", '{"key":"a","value":2}', '{"key":"a","valeu":3}', '{"key":"a","value":4}'];
  const document = await problem(await send(topic, pieces(lines.join("\n"), [5, 40])), 400, "bad-request");
  assert.match(document.detail, /^line 4: unknown member `valeu`; did you mean `value`\?; 2 records were appended before it$/);
  const appended = await host.records(topic);
  assert.deepEqual(
    appended.map(({ value }) => value),
    [1, 2],
  );
  assert.deepEqual(document.details, { line: 4, records: 2, positions: [{ partition: appended[0]?.partition, offset: 1 }] });
});

test("broken JSON and broken UTF-8 name their line", async () => {
  assert.match((await problem(await send(fresh(), '{"key":"a","value":1}\n{"key":'), 400, "bad-request")).detail, /^line 2 is not JSON/);
  const bytes = Buffer.concat([Buffer.from('{"key":"a","value":"'), Buffer.from([0xc3, 0x28]), Buffer.from('"}\n')]);
  const response = await send(
    fresh(),
    new ReadableStream({
      start: (c) => {
        c.enqueue(bytes);
        c.close();
      },
    }),
  );
  assert.match((await problem(response, 400, "bad-request")).detail, /^line 1 is not valid UTF-8/);
});

test("a line that never ends is refused at the limit, not collected", async () => {
  let sent = 0;
  const endless = new ReadableStream<Uint8Array>({
    pull(controller) {
      sent += 16_384;
      controller.enqueue(Buffer.alloc(16_384, 0x20));
    },
  });
  const document = await problem(await send(fresh(), endless), 413, "body-too-large");
  assert.equal(document.details?.["line"], 1);
  assert.ok(sent < 200_000, `${sent} bytes were read`);
});

test("reading pauses while an append is under way, and appends are bounded", async () => {
  const line = Buffer.from(`${JSON.stringify({ key: "a", value: "x".repeat(200) })}\n`);
  const chunk = Buffer.concat(Array(250).fill(line) as Buffer[]);
  let produced = 0;
  let underWay = 0;
  const sizes: number[] = [];
  host.onAppend = async (records) => {
    assert.equal(++underWay, 1, "one append at a time");
    const before = produced;
    sizes.push(records.length);
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
    assert.ok(produced - before <= 1, "the source is asked for no more than its own queue holds");
    underWay--;
  };
  const response = await send(
    fresh(),
    new ReadableStream<Uint8Array>({
      pull(controller) {
        if (produced++ === 8) controller.close();
        else controller.enqueue(Uint8Array.from(chunk));
      },
    }),
  );
  assert.equal(((await response.json()) as { records: number }).records, 2000);
  assert.ok(
    sizes.every((size) => size <= 100),
    `appends of ${sizes.join(", ")}`,
  );
});

test("a failed append is not tried again, and the answer counts what is safe", async () => {
  const topic = fresh();
  let appends = 0;
  host.onAppend = () => {
    if (++appends === 3) throw Object.assign(new Error("boom"));
  };
  const lines = Array.from({ length: 300 }, (_, i) => JSON.stringify({ key: "a", value: i })).join("\n");
  const document = await problem(await send(topic, lines), 500, "internal");
  assert.equal(document.details?.["records"], 200);
  assert.equal(appends, 3);
  assert.equal((await host.records(topic)).length, 200);
});

test("an empty body appends nothing", async () => {
  assert.deepEqual(await (await send(fresh(), "\n\n")).json(), { records: 0, positions: [] });
});
