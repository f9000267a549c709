import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { KeyfoldError } from "../../runtime/errors.ts";
import { createInternalApp } from "../../runtime/http/internal-app.ts";
import { problemOf } from "../../runtime/http/problem.ts";
import { createPublicApp, type PublicApp } from "../../runtime/http/public-app.ts";
import { STATUS } from "../../runtime/http/status.ts";
import { createTestHost, json, problem, type TestHost } from "./test-host.ts";

let host: TestHost;
let app: PublicApp;
const reported: [KeyfoldError, string][] = [];
const request = (path: string, init?: RequestInit): Promise<Response> => Promise.resolve(app.hono.request(path, init));

before(async () => {
  host = await createTestHost();
  app = createPublicApp(host, { report: (error, reference) => reported.push([error, reference]) });
});
after(() => host.close());

test("every code of runtime/errors.ts has a status and a section in docs/errors.md", () => {
  const source = readFileSync(new URL("../../runtime/errors.ts", import.meta.url), "utf8");
  const union = source.slice(source.indexOf("ErrorCode ="), source.indexOf(";", source.indexOf("ErrorCode =")));
  const codes = [...union.matchAll(/"([a-z-]+)"/g)].map(([, code]) => code ?? "");
  assert.ok(codes.length > 30);
  assert.deepEqual(Object.keys(STATUS).sort(), [...codes].sort());
  const docs = readFileSync(new URL("../../docs/errors.md", import.meta.url), "utf8");
  const sections = [...docs.matchAll(/^## `?([a-z-]+)`?$/gm)].map(([, code]) => code ?? "");
  assert.deepEqual([...sections].sort(), [...codes].sort());
  for (const [code, [status]] of Object.entries(STATUS))
    assert.match(docs.slice(docs.indexOf(`## ${code}\n`)), new RegExp(`^## ${code}\n\nHTTP ${status}\\b`), code);
});

test("docs/http.md lists every path of both listeners, and no other", () => {
  const docs = readFileSync(new URL("../../docs/http.md", import.meta.url), "utf8");
  const [, publicly = "", internally = ""] = /\n\| public \|([\s\S]*?)\n\| internal \|([\s\S]*?)\n\n/.exec(docs) ?? [];
  for (const [table, { hono }] of [
    [publicly, app],
    [internally, createInternalApp(host)],
  ] as const) {
    const listed = [...table.matchAll(/`((?:GET|POST|ANY) [^`]+)`/g)].map(([, path]) => path);
    const served = hono.routes.map(({ method, path }) => `${method === "ALL" ? "ANY" : method} ${path.replace(/:([a-z]+)/g, "{$1}")}`);
    assert.deepEqual(listed.sort(), served.sort());
  }
});

test("unknown paths name the nearest, wrong methods the right ones", async () => {
  assert.match((await problem(await request("/v1/function/x/keys/a"), 404, "not-found")).detail, /there is nothing at/);
  for (const path of ["keys/a/b", "keys/a/b/live", "keys/a//b"])
    assert.match((await problem(await request(`/v1/functions/airport-stats/${path}`), 404, "not-found")).detail, /%2F$/);
  const wrong = await request("/v1/functions/airport-stats/keys/a", { method: "DELETE" });
  assert.equal(wrong.headers.get("allow"), "POST, GET, HEAD, OPTIONS");
  await problem(wrong, 405, "method-not-allowed");
  const get = await request("/v1/topics/t/records");
  assert.equal(get.headers.get("allow"), "POST, OPTIONS");
  await problem(get, 405, "method-not-allowed");
  await problem(await request("/v1/functions/", { method: "PURGE" }), 404, "not-found");
});

test("HEAD is GET without a body, OPTIONS says what is allowed", async () => {
  const head = await request("/v1/functions", { method: "HEAD" });
  assert.equal(head.status, 200);
  assert.equal(head.headers.get("content-type"), "application/json");
  assert.equal(await head.text(), "");
  const options = await request("/v1/topics/t/records", { method: "OPTIONS" });
  assert.equal(options.status, 204);
  assert.equal(options.headers.get("allow"), "POST, OPTIONS");
});

test("what is our fault is reported in full and answered with a reference", async () => {
  const secret = new Error("secret /etc/path");
  host.onAppend = () => {
    throw secret;
  };
  const document = await problem(await request("/v1/topics/t/records", json({ key: "a", value: 1 })), 500, "internal");
  host.onAppend = () => {};
  const text = JSON.stringify(document);
  assert.ok(!text.includes("secret") && !text.includes(".ts:"), text);
  const [error, reference] = reported.at(-1) ?? assert.fail();
  assert.equal(error.cause, secret);
  assert.equal(document["reference"], reference);
});

test("a host's errors keep their code, detail and details; what JSON cannot carry is spelt out", async () => {
  host.onAppend = () => {
    throw new KeyfoldError("disk-full", "no space left in /data", { details: { bytes: 5n, stack: "at x", partition: 3 } });
  };
  const document = await problem(await request("/v1/topics/t/records", json({ key: "a", value: 1 })), 507, "disk-full");
  host.onAppend = () => {};
  assert.deepEqual(document.details, { bytes: "5", partition: 3 });
  assert.equal(document.detail, "no space left in /data");
  assert.equal(document["instance"], "/v1/topics/t/records");
});

test("a limit that frees up by itself asks to come back", () => {
  const { status, headers } = problemOf(new KeyfoldError("limit-exceeded", "full", { remedy: "retry" }), "/", () => {});
  assert.equal(status, 503);
  assert.equal(headers["retry-after"], "1");
});

test("a problem's type leads somewhere", async () => {
  const page = await (await request("/errors")).text();
  for (const code of Object.keys(STATUS)) assert.ok(page.includes(code), code);
});
