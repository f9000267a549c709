import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { after, before, test } from "node:test";
import { KeyfoldError } from "../../runtime/errors.ts";
import { createInternalApp } from "../../runtime/http/internal-app.ts";
import { createPublicApp } from "../../runtime/http/public-app.ts";
import { type Listening, listen } from "../../runtime/http/server.ts";
import { createTestHost, json, problem, type TestHost } from "./test-host.ts";

const KEY = "/v1/functions/airport-stats/keys/SFO";
let host: TestHost;
let server: Listening;

before(async () => {
  host = await createTestHost();
  server = await listen(createPublicApp(host), { host: "127.0.0.1", port: 0 });
});
after(async () => {
  await server.close(500);
  await host.close();
});

async function raw(...parts: (string | Buffer)[]): Promise<string> {
  const socket = await opened();
  for (const part of parts) {
    socket.write(part);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return read(socket);
}

async function opened(): Promise<Socket> {
  const socket = connect(server.port, "127.0.0.1");
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

async function read(socket: Socket): Promise<string> {
  let text = "";
  socket.on("data", (chunk) => {
    text += chunk.toString("latin1");
    // Content-Length or the end says that the answer is complete.
    const head = text.indexOf("\r\n\r\n");
    const length = /content-length: (\d+)/i.exec(text)?.[1];
    if (head !== -1 && length !== undefined && text.length >= head + 4 + Number(length)) socket.end();
  });
  await once(socket, "close");
  return text;
}

test("serves the app on a free port, and says where", async () => {
  assert.match(server.url, /^http:\/\/127\.0\.0\.1:\d+$/);
  const response = await fetch(server.url + KEY, json({ delay: 3 }));
  assert.deepEqual(((await response.json()) as { value: unknown }).value, { delay: 3 });
  assert.equal(response.headers.get("content-type"), "application/json");
});

test("requests wait until there is something to answer with; where nothing comes of it they are cut", async () => {
  const reads = host.calls.get.length;
  let open: () => void = () => {};
  const ready = new Promise<void>((resolve) => (open = resolve));
  const early = await listen(createPublicApp(host), { host: "127.0.0.1", port: 0, ready });
  const failed = await listen(createPublicApp(host), { host: "127.0.0.1", port: 0, ready: new Promise(() => {}) });
  try {
    const connected = async (port: number): Promise<Socket> => {
      const socket = connect(port, "127.0.0.1");
      await once(socket, "connect");
      return socket;
    };
    const append = '{"key":"k","value":1}';
    const heads = [
      `GET ${KEY} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`,
      `POST /v1/topics/early/records HTTP/1.1\r\nhost: x\r\ncontent-length: ${append.length}\r\n\r\n${append}`,
    ];
    const sockets = await Promise.all(heads.map(() => connected(early.port)));
    const answers = sockets.map(read);
    sockets.forEach((socket, i) => void socket.write(heads[i] ?? ""));
    // A request later than these two, answered elsewhere: these would have been answered by then.
    await fetch(server.url + KEY);
    assert.equal(host.calls.get.length, reads + 1);
    open();
    for (const answer of await Promise.all(answers)) assert.match(answer, /^HTTP\/1\.1 200 /);
    assert.equal(host.calls.get.length, reads + 2);

    const cut = await connected(failed.port);
    cut.on("error", () => {});
    cut.write(heads[0] ?? "");
    const closed = once(cut, "close");
    await failed.close(0);
    await closed;
  } finally {
    await Promise.all([early.close(0), failed.close(0)]);
  }
});

test("a port in use is named, with the flag", async () => {
  await assert.rejects(listen(createPublicApp(host), { host: "127.0.0.1", port: server.port, flag: "--port" }), (error) => {
    assert.ok(error instanceof KeyfoldError && error.code === "port-in-use");
    assert.match(error.message, new RegExp(`port ${server.port} .* --port`));
    return true;
  });
  await assert.rejects(listen(createPublicApp(host), { host: "203.0.113.7", port: 0 }), { code: "config-invalid" });
});

test("the internal listener stays on loopback", async () => {
  const app = createInternalApp(host);
  await assert.rejects(
    listen(app, { host: "0.0.0.0", port: 0, loopbackOnly: true }),
    (error) => error instanceof KeyfoldError && error.code === "config-invalid" && error.message.includes("0.0.0.0"),
  );
  for (const address of ["127.0.0.1", "localhost"]) await (await listen(app, { host: address, port: 0, loopbackOnly: true })).close();
});

test("dot segments are keys to who can send them, absolute targets are understood, bare UTF-8 is no HTTP", async () => {
  assert.match(await raw(Buffer.from("GET /v1/functions/airport-stats/keys/zürich HTTP/1.1\r\nhost: x\r\n\r\n")), /^HTTP\/1\.1 400 /);
  const dots = await raw("POST /v1/functions/airport-stats/keys/.. HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\n7");
  assert.match(dots, /"key":"\.\."/);
  const absolute = await raw("GET http://x/v1/functions HTTP/1.1\r\nhost: x\r\n\r\n");
  assert.match(absolute, /^HTTP\/1\.1 200 /);
});

test("what is not HTTP, or not a valid request, gets a problem document", async () => {
  for (const [text, status] of [
    ["\x16\x03\x01\x02\x00\x01\x00", 400],
    ["GET / HTTP/1.1\r\n\r\n", 400],
    ["GET /%5c\\ HTTP/1.1\r\nhost: x\r\n\r\n", 400],
    ["GET / HTTP/1.1\r\nhost: a b c\r\n\r\n", 400],
    [`POST ${KEY} HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n12`, 400],
    [`POST ${KEY} HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n`, 400],
    [`POST ${KEY} HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`, 400],
    [`GET / HTTP/1.1\r\nhost: x\r\nx-large: ${"y".repeat(20_000)}\r\n\r\n`, 431],
    [`GET /${"k".repeat(20_000)} HTTP/1.1\r\nhost: x\r\n\r\n`, 431],
  ] as const) {
    const answer = await raw(text);
    assert.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `), JSON.stringify(text.slice(0, 60)));
    assert.match(answer, /application\/problem\+json/, JSON.stringify(text.slice(0, 60)));
  }
  assert.match(await raw("GET /v1/functions HTTP/1.0\r\n\r\n"), /^HTTP\/1\.1 200 /, "HTTP/1.0 may go without");
  assert.match(
    await raw(`POST ${KEY} HTTP/1.1\r\nhost: x\r\nexpect: tea\r\ncontent-length: 1\r\n\r\n1`),
    /^HTTP\/1\.1 200 [\s\S]*"value":1/,
  );
});

test("bodies: chunked, in pieces, too long by promise, too long in fact", async () => {
  const chunked = await raw(
    `POST ${KEY} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\n[\r\n`,
    "1\r\n1\r\n1\r\n]\r\n0\r\n\r\n",
  );
  assert.match(chunked, /"value":\[1\]/);
  const slow = await raw(`POST ${KEY} HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\n`, "[", "1", "2", "]");
  assert.match(slow, /"value":\[12\]/);
  const promised = await raw(`POST ${KEY} HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999\r\n\r\n`, "1");
  assert.match(promised, /^HTTP\/1\.1 413 [\s\S]*body\.max\.bytes/);
  const endless = await raw(
    `POST ${KEY} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n`,
    ...Array<string>(20).fill(`2000\r\n${"1".repeat(0x2000)}\r\n`),
  );
  assert.match(endless, /^HTTP\/1\.1 413 [\s\S]*more than 65536 bytes/);
});

test("several requests on one connection, sent at once, are answered in order", async () => {
  const one = (n: number): string => `POST ${KEY} HTTP/1.1\r\nhost: x\r\ncontent-length: ${String(n).length}\r\n\r\n${n}`;
  const socket = await opened();
  let text = "";
  socket.on("data", (chunk) => {
    text += chunk.toString();
  });
  socket.write(`${one(1) + one(22) + one(333)}GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
  await once(socket, "close");
  assert.deepEqual(
    [...text.matchAll(/"value":(\d+)|"status":"(healthy)"/g)].map(([, value, status]) => value ?? status),
    ["1", "22", "333", "healthy"],
  );
});

test("clients that go away in the middle do no harm", async () => {
  const before = host.calls.invoke.length;
  for (const text of [
    `POST ${KEY} HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n[1`,
    `POST ${KEY} HTTP/1.1\r\nhost:`,
    `POST /v1/topics/gone/records HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n17\r\n{"key":"a","value":12}\n\r\n`,
  ]) {
    const socket = await opened();
    socket.write(text);
    await new Promise((resolve) => setImmediate(resolve));
    socket.destroy();
    await once(socket, "close");
  }
  assert.equal((await fetch(`${server.url}/healthz`)).status, 200);
  assert.equal(host.calls.invoke.length, before);
});

test("an upload that breaks off appends its whole lines only", async () => {
  const socket = await opened();
  const line = '{"key":"a","value":12}\n';
  const appended = new Promise<void>((resolve) => {
    host.onAppend = () => resolve();
  });
  socket.write(
    `POST /v1/topics/broken-off/records HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-ndjson\r\ncontent-length: 1000\r\n\r\n${line}{"key":"a","value":34}`,
  );
  await appended;
  host.onAppend = () => {};
  socket.destroy();
  await once(socket, "close");
  assert.equal((await fetch(`${server.url}/healthz`)).status, 200);
  assert.deepEqual(
    (await host.records("broken-off")).map(({ value }) => value),
    [12],
  );
});

test("closing lets requests under way finish, takes no more, and cuts what does not end", async () => {
  const mine = await listen(createPublicApp(host), { host: "127.0.0.1", port: 0 });
  let finish: () => void = assert.fail;
  const begun = new Promise<void>((resolve) => {
    host.onAppend = () => {
      resolve();
      return new Promise((done) => {
        finish = done;
      });
    };
  });
  const answer = fetch(mine.url + KEY, json("1"));
  await begun;
  host.onAppend = () => {};
  const closed = mine.close(10_000);
  await assert.rejects(fetch(`${mine.url}/healthz`));
  finish();
  assert.equal((await answer).status, 200);
  await closed;
  await mine.close();

  const stuck = await listen(createPublicApp(host), { host: "127.0.0.1", port: 0 });
  const socket = connect(stuck.port, "127.0.0.1");
  socket.on("error", () => {});
  socket.write(`POST ${KEY} HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n1`);
  await once(socket, "connect");
  await stuck.close(50);
  if (!socket.destroyed) await once(socket, "close");
});

test("problems reach HTTP clients as they are", async () => {
  await problem(await fetch(`${server.url}/v1/functions/none/keys/a`), 404, "function-unknown");
  await problem(await fetch(`${server.url}/v1/functions/airport-stats/keys/%ff`), 400, "bad-request");
});
