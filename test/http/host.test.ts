import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { type RunningHost, startHost } from "../../runtime/host/host.ts";
import { Client } from "../../runtime/http/client.ts";
import { createLogger } from "../../runtime/observe/logger.ts";
import { createProject, type Project } from "../fixtures/engine.ts";

const FUNCTION = `
import { defineFunction } from "keyfold";
export default defineFunction<{ amount: number }, { count: number; sum: number }>({
  source: "amounts",
  reduce: (state = { count: 0, sum: 0 }, event) => (event === null ? null : { count: state.count + 1, sum: state.sum + event.amount }),
});
// A Hono app is one of these; the project has no packages to import one from.
export const routes = {
  fetch: async (request: Request, env: { state: { get(key: string): Promise<unknown> } }) =>
    Response.json((await env.state.get(new URL(request.url).pathname.slice("/of/".length))) ?? null),
};
`;

const AIRPORTS = `
import { defineFunction } from "keyfold";
export default defineFunction<unknown, { flights: number }>({ source: "flights", reduce: (state = { flights: 0 }) => ({ flights: state.flights + 1 }) });
`;

let project: Project;
let host: RunningHost;
let client: Client;

before(async () => {
  project = await createProject({ counter: FUNCTION, "airport-stats": AIRPORTS });
  const config = await project.config({
    http: { port: 0, internalPort: 0 },
    "state.dir": `${project.dir}/state`,
    "num.stream.threads": 2,
    "commit.interval.ms": 50,
  });
  host = await startHost(config, { logger: createLogger({ level: "silent" }) });
  await host.running;
  client = new Client({ url: host.publicUrl, internalUrl: host.internalUrl });
});
after(async () => {
  await host?.stop();
  await project?.remove();
});

test("events by every way in, states by every way out, over a started host", async () => {
  const abort = new AbortController();
  const changes = client.live<{ count: number }>("counter", "a/b", abort.signal);
  const first = changes.next();
  const invoked = await client.invoke<{ count: number; sum: number }>("counter", "a/b", { amount: 2 });
  assert.deepEqual(invoked.value, { count: 1, sum: 2 });
  const [position] = await client.append("amounts", [{ key: "a/b", value: { amount: 3 } }]);
  assert.ok(position);
  const state = await client.get<{ count: number }>("counter", "a/b", { atLeast: position });
  assert.deepEqual(state?.value, { count: 2, sum: 5 });
  assert.equal(state?.partition, position.partition);
  const change = (await first).value;
  assert.ok(change !== undefined && change.key === "a/b" && (change.value?.count ?? 0) >= 1);
  abort.abort();

  const lines = Array.from({ length: 500 }, (_, i) =>
    JSON.stringify({ key: `k${String(i % 50).padStart(2, "0")}`, value: { amount: i } }),
  ).join("\n");
  const appended = await client.appendLines("amounts", lines);
  assert.equal(appended.records, 500);
  for (const last of appended.positions) {
    const key = (await client.metadata("counter", "k00")).partition === last.partition ? "k00" : undefined;
    if (key !== undefined) await client.get("counter", key, { atLeast: last });
  }
  const all: string[] = [];
  for (let settled = 0; settled < 500; ) {
    all.length = 0;
    settled = 0;
    for await (const { key, value } of client.list<{ count: number }>("counter", { prefix: "k", limit: 7 })) {
      all.push(key);
      settled += value.count;
    }
  }
  assert.deepEqual(
    all,
    Array.from({ length: 50 }, (_, i) => `k${String(i).padStart(2, "0")}`),
  );
  assert.equal(await client.count("counter", { from: "k10", to: "k20" }), 10);
  const routed = await fetch(`${host.publicUrl}/v1/functions/counter/routes/of/k07`);
  assert.equal(((await routed.json()) as { value: { count: number } }).value.count, 10);
});

test("the internal listener of a started host", async () => {
  assert.ok((await client.tasks()).every(({ state }) => state === "RUNNING"));
  assert.ok(
    (await client.topics()).some(({ name, internal }) => name.startsWith("app-counter-") && name.endsWith("-changelog") && internal),
  );
  let records = 0;
  for await (const record of client.tail("amounts")) {
    assert.equal(record.topic, "amounts");
    records++;
  }
  assert.equal(records, 502);
  const metrics = await client.metrics();
  for (const line of [
    /^keyfold_process_total\{function="counter",task="0_\d"\} [1-9]/m,
    /^keyfold_http_requests_total\{.*route="\/v1\/functions\/:fn\/keys\/:key",status="2xx"\} [1-9]/m,
    /^keyfold_log_appended_records_total\{log="embedded"\} [1-9]/m,
    /^keyfold_live_clients \d/m,
  ])
    assert.match(metrics, line);
});

test("errors of the host come out as problems", async () => {
  await assert.rejects(client.invoke("none", "a", 1), { code: "function-unknown" });
  await assert.rejects(client.get("counter", "a/b", { atLeast: { partition: 99, offset: 1 } }), { code: "bad-request" });
  await assert.rejects(client.append("app-counter-counter-changelog", [{ key: "a", value: 1 }]), { code: "bad-request" });
  assert.equal(await client.get("counter", "never"), undefined);
  await assert.rejects(client.tail("none").next(), { code: "topic-unknown" });
});

test("the examples of docs/http.md work as they stand", {
  skip: spawnSync("curl", ["--version"]).status !== 0 && "no curl here",
}, async () => {
  const text = readFileSync(new URL("../../docs/http.md", import.meta.url), "utf8");
  const blocks = [...text.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map(([, block]) => block ?? "");
  assert.ok(blocks.length >= 8);
  const commands = blocks.flatMap((block) =>
    block
      .trim()
      .replace(/(\\|\|)\n\s*/g, (end) => (end.startsWith("|") ? "| " : ""))
      .split("\n"),
  );
  for (const command of commands) {
    const here = command.replaceAll("http://127.0.0.1:8787", host.publicUrl).replaceAll("http://127.0.0.1:8788", host.internalUrl);
    const child = spawn("sh", ["-c", here.replace("curl -sN", "curl -sN --max-time 0.5")], { stdio: ["ignore", "pipe", "inherit"] });
    let out = "";
    child.stdout.on("data", (chunk) => {
      out += String(chunk);
    });
    const [code] = (await once(child, "close")) as [number];
    // 28: curl stopped listening to a stream.
    assert.equal(code, command.includes("-sN") ? 28 : 0, command);
    assert.ok(!out.includes('"type":"/errors#'), `${command}\n${out}`);
    if (!command.includes("-sN")) assert.notEqual(out, "", command);
  }
});
