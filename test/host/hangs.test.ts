import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { KeyfoldError } from "../../runtime/errors.ts";
import { createProject, type Project, type RunningEngine, readTopic, startEngine } from "../fixtures/engine.ts";
import { until } from "../fixtures/until.ts";

const counting = (source: string, rest: string, reduce: string): string => `
import { defineFunction } from "keyfold";
export default defineFunction<{ n: number; how?: string }, number>({
  source: "${source}",
  ${rest}
  ${reduce}
});
`;
const SPIN = `reduce(n = 0, event) { if (event.how === "spin") for (;;); return n + event.n; }`;

const FUNCTIONS = {
  quiet: counting("quiet", "", "reduce: (n = 0, event) => n + event.n,"),
  spins: counting("spins", `sink: "spins-sums",`, SPIN),
  stubborn: counting("stubborn", `onError: "fail",`, SPIN),
  hungry: counting(
    "hungry",
    "",
    `reduce(n = 0, event) {
      if (event.how === "eat") { const all: unknown[] = []; for (let i = 0; ; i++) all.push({ i, event, text: "x" + i }); }
      return n + event.n;
    },`,
  ),
  careless: counting(
    "careless",
    "",
    `reduce(n = 0, event) {
      if (event.how === "promise") void Promise.reject(new Error("nobody hears"));
      if (event.how === "text") void Promise.reject("not even an error");
      if (event.how === "fetch") void fetch("http://127.0.0.1:1/");
      if (event.how === "timer") setTimeout(() => { throw new Error("too late"); });
      return n + event.n;
    },`,
  ),
  waits: counting(
    "waits",
    `"max.in.flight.keys": 4,`,
    `async reduce(n = 0, event) {
      if (event.how === "never") await new Promise(() => {});
      if (event.how === "spin") { await null; await new Promise((resolve) => setTimeout(resolve, 1)); for (;;); }
      if (event.how === "late") await new Promise((resolve) => setTimeout(resolve, 20));
      return n * 10 + event.n;
    },`,
  ),
  ticking: counting(
    "ticking",
    "",
    `reduce(n = 0, event, ctx) {
      ctx.schedule(20, "wall-clock", () => { for (;;); });
      return n + event.n;
    },`,
  ),
  // Comes to an end at the start of the task, and never when the task goes back to its last commit.
  beginning: `
import { defineFunction } from "keyfold";
let begun = 0;
export default defineFunction<{ n: number }, never>({
  source: "beginning",
  init() { if (begun++ > 0) for (;;); },
  process() { throw new Error("back to the last commit"); },
});
`,
  routed: `
import { defineFunction } from "keyfold";
export default defineFunction<{ n: number }, number>({ source: "routed", reduce: (n = 0, event) => n + event.n });
export const routes = {
  async fetch(request: Request): Promise<Response> {
    if (request.url.endsWith("/spin-later")) await new Promise((resolve) => setTimeout(resolve, 1));
    if (request.url.includes("/spin")) for (;;);
    return request.url.endsWith("/nothing") ? (undefined as never) : new Response("fine");
  },
};
`,
};

describe("code that does not come back", () => {
  let project: Project;
  let run: RunningEngine;
  before(async () => {
    project = await createProject(FUNCTIONS);
    run = await startEngine(
      await project.config({
        "state.dir": `${project.dir}/state`,
        "processing.guarantee": "exactly_once_v2",
        // One thread: who hangs shares it with all the others.
        "num.stream.threads": 1,
        defaultPartitions: 1,
        limits: { "reducer.timeout.ms": 400, "worker.heap.max.bytes": 64 << 20 },
      }),
    );
  });
  after(async () => {
    await run?.stop();
    await project?.remove();
  });

  const event = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));
  const invoke = async (fn: string, key: string, value: unknown): Promise<unknown> =>
    (JSON.parse(await run.api.invoke(fn, key, event(value), "committed")) as { value: unknown }).value;
  const letters = (fn: string) =>
    until(`a dead letter of ${fn}`, async () =>
      (await run.log.describe(`app-${fn}-dead-letters`)) === undefined
        ? undefined
        : (await readTopic(run.log, `app-${fn}-dead-letters`)).at(0),
    );

  test("a reducer that spins: its event goes aside, who waits for it is told, everybody else goes on with their state", async () => {
    assert.equal(await invoke("spins", "k", { n: 1 }), 1);
    assert.equal(await invoke("quiet", "k", { n: 1 }), 1);
    const hung = assert.rejects(invoke("spins", "k", { n: 2, how: "spin" }), {
      code: "reducer-timeout",
      message: /longer than 400 ms.*dead-letter/,
    });
    // These come while the thread spins, and wait for the next one.
    const others = Promise.all([invoke("spins", "k", { n: 4 }), invoke("spins", "other", { n: 8 }), invoke("quiet", "k", { n: 16 })]);
    await hung;
    assert.deepEqual(await others, [5, 8, 17]);
    const letter = await letters("spins");
    assert.deepEqual(letter.value, { n: 2, how: "spin" });
    assert.equal(letter.headers["keyfold.errors.code"], "reducer-timeout");
    assert.equal(letter.headers["keyfold.errors.state-before"], "1");
    assert.deepEqual(run.api.unhealthy(), []);
  });

  test("several that spin in one batch, in turn", async () => {
    const values = [{ n: 1 }, { n: 2, how: "spin" }, { n: 4 }, { n: 8, how: "spin" }, { n: 16 }];
    const positions = await run.api.append(
      "spins",
      values.map((value) => ({ key: "many", value: event(value) })),
    );
    const text = await until("all are dealt with", () =>
      run.api.get("spins", "many", { atLeast: positions[4] as { partition: number; offset: number } }).catch(() => undefined),
    );
    assert.equal((JSON.parse(text) as { value: unknown }).value, 21);
  });

  test("a promise that nobody awaits, a callback that throws: told, and everybody goes on", async () => {
    let sum = 0;
    for (const how of ["promise", "text", "fetch", "timer", "nothing"]) assert.equal(await invoke("careless", "k", { n: 1, how }), ++sum);
    assert.equal(await invoke("quiet", "careless", { n: 1 }), 1);
    assert.deepEqual(run.api.unhealthy(), []);
  });

  test("a heap that is full: the thread dies, the record is found and goes aside", async () => {
    assert.equal(await invoke("hungry", "k", { n: 1 }), 1);
    // On a slow machine its time is up first.
    await assert.rejects(
      invoke("hungry", "k", { n: 2, how: "eat" }),
      (thrown: KeyfoldError) => thrown.code === "task-failed" || thrown.code === "reducer-timeout",
    );
    assert.deepEqual((await letters("hungry")).value, { n: 2, how: "eat" });
    assert.equal(await invoke("hungry", "k", { n: 4 }), 5);
    assert.equal(await invoke("quiet", "after-heap", { n: 1 }), 1);
    assert.deepEqual(run.api.unhealthy(), []);
  });

  test("an async reducer keeps the order of a key while others pass it", async () => {
    const values = [1, 2, 3, 4, 5].map((n) => ({ n, ...(n % 2 === 1 ? { how: "late" } : {}) }));
    const [last] = (
      await run.api.append(
        "waits",
        values.flatMap((value) => ["a", "b", "c", "d", "e", "f"].map((key) => ({ key, value: event(value) }))),
      )
    ).slice(-1);
    assert.ok(last);
    for (const key of "abcdef") {
      const text = await run.api.get("waits", key, { atLeast: last });
      assert.equal((JSON.parse(text ?? "null") as { value: unknown } | null)?.value, 12345, `key ${key}`);
    }
  });

  test("a promise that never settles is given up; the events of its key go on without it", async () => {
    const hung = assert.rejects(invoke("waits", "stuck", { n: 1, how: "never" }), { code: "reducer-timeout" });
    const next = invoke("waits", "stuck", { n: 2 });
    const other = invoke("waits", "free", { n: 3 });
    await hung;
    assert.equal(await other, 3);
    assert.equal(await next, 2);
    assert.equal((await letters("waits")).headers["keyfold.errors.code"], "reducer-timeout");
  });

  test("an async reducer that spins after an await: its event goes aside, of several under way the right one", async () => {
    const before = (await readTopic(run.log, "app-waits-dead-letters")).length;
    const values = [1, 2, 3].map((n) => ({ key: `spin-${n}`, value: event({ n, ...(n === 2 ? { how: "spin" } : {}) }) }));
    const positions = await run.api.append("waits", values);
    for (const [i, { key }] of values.entries()) {
      const atLeast = positions[i] as { partition: number; offset: number };
      const text = await until("it is dealt with", () =>
        run.api
          .get("waits", key, { atLeast })
          .then((state) => [state])
          .catch(() => undefined),
      );
      assert.equal(text[0] === undefined ? undefined : (JSON.parse(text[0]) as { value: unknown }).value, [1, undefined, 3][i]);
    }
    const letters = await until("its dead letter", async () => {
      const all = await readTopic(run.log, "app-waits-dead-letters");
      return all.length > before ? all.slice(before) : undefined;
    });
    assert.deepEqual(
      letters.map(({ value }) => value),
      [{ n: 2, how: "spin" }],
    );
    assert.equal(letters[0]?.headers["keyfold.errors.code"], "reducer-timeout");
    assert.equal(await invoke("quiet", "after-async", { n: 1 }), 1);
  });

  test("a route that spins: who asked is told, everybody else goes on", async () => {
    const route = async (path: string) =>
      Buffer.from((await run.api.route("routed", { method: "GET", path, headers: [], body: null })).body ?? []).toString();
    for (const path of ["/spin", "/spin-later"]) {
      await assert.rejects(route(path), {
        code: "reducer-timeout",
        message: new RegExp(`own route \\(GET ${path} of routed\\) ran longer than 400 ms`),
      });
      assert.equal(await invoke("routed", path, { n: 1 }), 1);
      assert.equal(await route("/fine"), "fine");
    }
    await assert.rejects(route("/nothing"), { code: "function-invalid" });
    assert.deepEqual(run.api.unhealthy(), []);
  });

  for (const fn of ["ticking", "beginning"]) {
    test(`${fn}: code of no record that spins stops its function, and only that`, async () => {
      await run.api.append(fn, [{ key: "k", value: event({ n: 1 }) }]);
      await until("it is stopped", () => run.api.unhealthy().length > 0);
      assert.match(run.api.unhealthy().join(), new RegExp(`function ${fn}: .*longer than 400 ms`));
      assert.equal(await invoke("quiet", `after-${fn}`, { n: 1 }), 1);
      await run.engine.remove(fn);
    });
  }

  test("with onError fail a reducer that spins stops its function, and only that", async () => {
    assert.equal(await invoke("stubborn", "k", { n: 1 }), 1);
    await assert.rejects(invoke("stubborn", "k", { n: 2, how: "spin" }), { code: "task-failed" });
    assert.match(run.api.unhealthy().join(), /function stubborn: .*longer than 400 ms.* at stubborn\[0\] offset 1/);
    assert.equal(await invoke("quiet", "after-all", { n: 1 }), 1);
    assert.equal(await invoke("spins", "after-all", { n: 1 }), 1);
    await run.engine.running();
    const states = Object.fromEntries((await run.api.functions()).map(({ name, state }) => [name, state]));
    assert.deepEqual(states, {
      quiet: "RUNNING",
      spins: "RUNNING",
      stubborn: "ERROR",
      hungry: "RUNNING",
      careless: "RUNNING",
      waits: "RUNNING",
      routed: "RUNNING",
    });
  });
});
