import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { after, before, test } from "node:test";
import fc from "fast-check";
import { KeyfoldError } from "../../runtime/errors.ts";
import { DirectHeadReader } from "../../runtime/http/direct-head.ts";
import { createPublicApp, type PublicApp } from "../../runtime/http/public-app.ts";
import { type Listening, listen } from "../../runtime/http/server.ts";
import { createTestHost, seed, type TestHost } from "./test-host.ts";

let host: TestHost;
let app: PublicApp;
/** One with the short cut, one without. */
let direct: Listening;
let plain: Listening;
let served = 0;

before(async () => {
  host = await createTestHost();
  // Echoes, so that both ways give the same answer; some keys fail.
  host.invoke = async (fn, key, event, wait) => {
    if (key === "late") await new Promise((resolve) => setImmediate(resolve));
    if (key === "bug") throw new Error("bug");
    if (fn !== "airport-stats") throw new KeyfoldError("function-unknown", `no function ${JSON.stringify(fn)}`);
    if (key === "down") throw new KeyfoldError("not-ready", "überall down", { remedy: "retry" });
    return `{"key":${JSON.stringify(key)},"value":${Buffer.from(event).toString()},"wait":"${wait}"}`;
  };
  app = createPublicApp(host);
  const { direct: route, ...without } = app;
  assert.ok(route);
  const counted = {
    ...route,
    answer: (...args: Parameters<typeof route.answer>) => {
      served++;
      return route.answer(...args);
    },
  };
  direct = await listen({ ...app, direct: counted }, { host: "127.0.0.1", port: 0 });
  plain = await listen(without, { host: "127.0.0.1", port: 0 });
});
after(async () => {
  await Promise.all([direct.close(200), plain.close(200)]);
  await host.close();
});

async function opened(port: number): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

/** Sends pieces, then ends its side; everything the server said until it ended too. */
async function exchange(port: number, pieces: readonly Buffer[]): Promise<string> {
  const socket = await opened(port);
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  const closed = once(socket, "close");
  for (const piece of pieces) {
    socket.write(piece);
    await new Promise((resolve) => setImmediate(resolve));
  }
  socket.end();
  await closed;
  return Buffer.concat(chunks).toString("utf8");
}

/** Answers in a form that does not depend on the order and the case of headers, on dates and references. */
function normal(text: string): unknown {
  return text
    .replace(/[0-9a-f]{8}-[0-9a-f-]{27}/g, "<reference>")
    .split(/(?=HTTP\/1\.1 \d{3} )/)
    .map((answer) => {
      const [head = "", ...body] = answer.split("\r\n\r\n");
      const [line, ...headers] = head.split("\r\n");
      const fields = headers
        .map((header) => header.replace(/^[^:]+/, (name) => name.toLowerCase()))
        .filter((header) => !header.startsWith("date: "));
      return { line, headers: fields.sort(), body: body.join("\r\n\r\n") };
    });
}

const KEY = "/v1/functions/airport-stats/keys/";

function invoke(target: string, body: string, headers: readonly string[] = ["content-type: application/json"]): string {
  return `POST ${target} HTTP/1.1\r\nhost: x\r\n${headers.map((header) => `${header}\r\n`).join("")}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

async function same(...pieces: (string | Buffer)[]): Promise<{ answer: string; direct: number }> {
  const buffers = pieces.map((piece) => Buffer.from(piece as string));
  const before = served;
  const [one, two] = await Promise.all([exchange(direct.port, buffers), exchange(plain.port, buffers)]);
  assert.deepEqual(normal(one), normal(two), JSON.stringify(pieces.map(String)));
  return { answer: one, direct: served - before };
}

test("the same answer either way, good or bad", async () => {
  for (const [target, body] of [
    [`${KEY}SFO`, '{"delay":1}'],
    [`${KEY}SFO?wait=processed`, "[1, 2]"],
    [`${KEY}z%C3%BCrich%2F%F0%9F%98%80`, '"ü😀"'],
    [`${KEY}..`, "1"],
    [`${KEY}late`, "1"],
    [`${KEY}bug`, "1"],
    [`${KEY}down`, "1"],
    [`${KEY}%zz`, "1"],
    [`${KEY}${"k".repeat(65)}`, "1"],
    [`${KEY}SFO?wait=soon`, "1"],
    [`${KEY}SFO?weit`, "1"],
    [`${KEY}SFO`, ""],
    [`${KEY}SFO`, "{"],
    [`${KEY}SFO`, `"${"x".repeat(5_000)}"`],
    ["/v1/functions/none/keys/a", "1"],
  ] as const) {
    const { direct: taken } = await same(invoke(target, body));
    assert.equal(taken, 1, `${target} went the direct way`);
  }
  assert.equal((await same(invoke(`${KEY}SFO`, "1", ["content-type: text/plain"]))).direct, 1);
  assert.equal((await same(invoke(`${KEY}SFO`, "1", []))).direct, 1);
  assert.equal((await same(invoke(`${KEY}SFO`, "1", ["origin: http://y", "content-type: application/json"]))).direct, 1);
  const page = await same(invoke(`${KEY}SFO`, "1", ["origin: http://y"]));
  assert.deepEqual([page.direct, page.answer.slice(0, 12)], [0, "HTTP/1.1 415"]);
  assert.equal(
    (await same(invoke(`${KEY}SFO`, "1", ["user-agent: curl/8", "accept: */*", "x-request-id: 7", "connection: keep-alive"]))).direct,
    1,
  );
});

test("appends, likewise", async () => {
  host.append = async (_topic, records) => records.map((_, offset) => ({ partition: 0, offset }));
  const RECORDS = "/v1/topics/flights/records";
  for (const [target, body, type = "application/json"] of [
    [RECORDS, '{"key":"SFO","value":{"delay":1}}'],
    [RECORDS, '[{"key":"SFO","value":1},{"key":null,"value":null}]'],
    [RECORDS, "[]"],
    [RECORDS, '{"key":"SFO"}'],
    [RECORDS, '{"key":"SFO","value":1}\n{"key":"LAX","value":2}\n', "application/x-ndjson"],
    [RECORDS, '{"key":"SFO","value":1}\n{"key":"LAX"}\n', "application/x-ndjson"],
    [RECORDS, "a=b", "application/x-www-form-urlencoded"],
    [`${RECORDS}?x=1`, "[]"],
    ["/v1/topics/a%20b/records", "[]"],
    ["/v1/topics/app-x-changelog/records", "[]"],
  ] as const) {
    assert.equal((await same(invoke(target, body, [`content-type: ${type}`]))).direct, 1, target);
  }
});

test("what is not plain to the letter is left to Node", async () => {
  for (const text of [
    invoke(`${KEY}SFO`, "1", ["connection: close"]),
    invoke(`${KEY}SFO`, "1", ["content-length: 1"]),
    invoke(`${KEY}SFO`, "1", ["content-length: 7"]),
    invoke(`${KEY}SFO`, "1", ["host: y"]),
    invoke(`${KEY}SFO`, "1", ["content-encoding: gzip"]),
    invoke(`${KEY}SFO`, "1", ["expect: 100-continue"]),
    invoke(`${KEY}SFO`, "1", ["upgrade: websocket", "connection: upgrade"]),
    invoke(`${KEY}SFO`, "1", [" folded: 1"]),
    invoke(`${KEY}SFO`, "1", ["bad header: 1"]),
    invoke(`${KEY}SFO`, "1", ["x-a: 1\nx-b: 2"]),
    invoke(`${KEY}SFO`, "1", ["x-a: \u0001"]),
    invoke(`${KEY}SFO`, "1", ["authorization: Bearer x"]),
    invoke(`${KEY}SFO/live`, "1"),
    invoke(`${KEY}SFO`, "x".repeat(70_000)),
    invoke(`${KEY}`, "1"),
    invoke("//v1/functions/airport-stats/keys/SFO", "1"),
    invoke(`${KEY}SFO#x`, "1"),
    invoke(`${KEY}SFO`, "1").replace("HTTP/1.1", "HTTP/1.0"),
    invoke(`${KEY}SFO`, "1").replace("host: x\r\n", ""),
    invoke(`${KEY}SFO`, "1").replace("host: x\r\n", "host: a b\r\n"),
    invoke(`${KEY}SFO`, "1").replace("host: x\r\n", "host: x:99999\r\n"),
    `POST ${KEY}SFO HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\n1\r\n0\r\n\r\n`,
    `POST ${KEY}SFO HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ncontent-length: 1\r\n\r\n1`,
    `POST ${KEY}SFO HTTP/1.1\nhost: x\ncontent-length: 1\n\n1`,
    `GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n`,
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
  ]) {
    const { direct: taken, answer } = await same(text);
    assert.equal(taken, 0, text);
    assert.notEqual(answer, "");
  }
});

test("any requests, in any pieces, in one connection: the same answers in the same order", async () => {
  const key = fc.constantFrom("SFO", "late", "bug", "down", "a%2Fb", "%zz", "..");
  const body = fc.oneof(fc.json({ maxDepth: 2 }), fc.constantFrom("", "{", "é"));
  const one = fc.oneof(
    {
      weight: 5,
      arbitrary: fc
        .tuple(key, fc.constantFrom("", "?wait=processed", "?x=1"), body)
        .map(([k, query, event]) => invoke(`${KEY}${k}${query}`, event)),
    },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n",
        invoke(`${KEY}SFO`, "1", ["authorization: x"]),
        invoke("/v1/topics/a%20b/records", "1"),
        "GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n",
      ),
    },
  );
  let taken = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(one, { minLength: 1, maxLength: 6 }),
      fc.array(fc.nat({ max: 1_200 }), { maxLength: 4 }),
      async (requests, cuts) => {
        const bytes = Buffer.from(requests.join(""));
        const at = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)), bytes.length].sort((a, b) => a - b);
        const pieces = at
          .slice(1)
          .map((end, i) => bytes.subarray(at[i], end))
          .filter((piece) => piece.length > 0);
        taken += (await same(...pieces)).direct;
      },
    ),
    { seed, numRuns: 150 },
  );
  assert.ok(taken > 100, `only ${taken} went the direct way`);
});

test("the head reader takes no head that it has not read to its end", () => {
  const reader = new DirectHeadReader();
  const whole = Buffer.from(invoke(`${KEY}SFO`, "12"));
  const bodyStart = whole.length - 2;
  for (let cut = 0; cut < bodyStart; cut++) assert.equal(reader.read(whole.subarray(0, cut)), undefined);
  const head = reader.read(whole);
  assert.deepEqual(head, { path: `${KEY}SFO`, query: "", contentType: "application/json", bodyStart, bodyLength: 2 });
  assert.equal(reader.read(Buffer.from(invoke(`${KEY}LAX?a=b`, "345", ["content-type: a/b"])))?.bodyLength, 3);
  fc.assert(
    fc.property(fc.nat({ max: bodyStart - 1 }), fc.nat({ max: 255 }), (at, byte) => {
      const changed = Buffer.from(whole);
      changed[at] = byte;
      const read = new DirectHeadReader().read(changed);
      // One byte off: refused, or still a well-formed invoke that frames the same body.
      if (read === undefined) return;
      assert.equal(read.bodyStart, bodyStart);
      assert.match(read.path, /^\/v1\/functions\/[\x21-\x7e]+\/keys\/[\x21-\x7e]+$/);
    }),
    { seed, numRuns: 3_000 },
  );
});

test("a client that asks and does not read is not worked for without end", async () => {
  const invokeOf = host.invoke;
  const large = JSON.stringify("x".repeat(200_000));
  let made = 0;
  host.invoke = async () => {
    made++;
    return large;
  };
  const socket = await opened(direct.port);
  socket.pause();
  const asked = 500;
  socket.write(invoke(`${KEY}SFO`, "1").repeat(asked));
  for (let seen = -1; seen !== made; ) {
    seen = made;
    for (let i = 0; i < 500; i++) await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(made > 0 && made < asked / 4, `${made} answers of 200 kB made for a client that reads none`);
  // Once it reads, it gets all of them.
  let bytes = 0;
  socket.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
  });
  socket.resume();
  while (bytes < asked * large.length) await once(socket, "data");
  assert.equal(made, asked);
  socket.destroy();
  host.invoke = invokeOf;
});

test("closing ends idle connections at once and busy ones after their answer", async () => {
  const mine = await listen(app, { host: "127.0.0.1", port: 0 });
  let finish: () => void = assert.fail;
  const invokeOf = host.invoke;
  const begun = new Promise<void>((resolve) => {
    host.invoke = () => {
      resolve();
      return new Promise((done) => {
        finish = () => done('{"late":true}');
      });
    };
  });
  const [idle, busy] = [await opened(mine.port), await opened(mine.port)];
  let text = "";
  busy.on("data", (chunk) => {
    text += String(chunk);
  });
  idle.resume();
  busy.write(invoke(`${KEY}SFO`, "1"));
  await begun;
  host.invoke = invokeOf;
  const closed = mine.close(10_000);
  await once(idle, "close");
  finish();
  await once(busy, "close");
  await closed;
  assert.match(text, /^HTTP\/1\.1 200 OK\r\n[\s\S]*Connection: close\r\n[\s\S]*\{"late":true\}$/);
});

test("a client that goes while its event is under way does no harm", async () => {
  const invokeOf = host.invoke;
  let finish: () => void = assert.fail;
  const begun = new Promise<void>((resolve) => {
    host.invoke = () => {
      resolve();
      return new Promise((done) => {
        finish = () => done("{}");
      });
    };
  });
  const socket = await opened(direct.port);
  socket.write(invoke(`${KEY}SFO`, "1"));
  await begun;
  host.invoke = invokeOf;
  socket.resetAndDestroy();
  await once(socket, "close");
  finish();
  assert.equal((await fetch(`${direct.url}/healthz`)).status, 200);
});
