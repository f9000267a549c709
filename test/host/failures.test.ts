import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createProject, type Project, type ReadRecord, type RunningEngine, readTopic, startEngine } from "../fixtures/engine.ts";
import { until } from "../fixtures/until.ts";

const tally = (source: string, rest = "", reduce = "return n + event.n;"): string => `
import { defineFunction } from "keyfold";
export default defineFunction<{ n: number; boom?: boolean; twice?: boolean; grow?: number }, number>({
  source: "${source}",
  sink: "${source}-sums",
  ${rest}
  reduce(n = 0, event, ctx) {
    ctx.emit("${source}-audit", event.n);
    if (event.boom) throw new TypeError("no " + event.n);
    ${reduce}
  },
});
`;

const FUNCTIONS = {
  letters: tally("letters"),
  named: tally("named", `"errors.dead.letter.queue.topic.name": "graveyard",`),
  retries: tally("retries", `onError: "retry", retries: 3, "retry.backoff.ms": 5,`),
  stops: tally("stops", `onError: "fail",`),
  // Changes its state in place before it throws.
  mutates: `
import { defineFunction } from "keyfold";
export default defineFunction<{ n: number; boom?: boolean }, { list: number[]; sum: number }>({
  source: "mutations",
  reduce(state = { list: [], sum: 0 }, event) {
    state.list.push(event.n);
    state.sum += event.n;
    if (event.boom) throw new Error("changed and thrown");
    return state;
  },
});
`,
  odd: `
import { defineFunction } from "keyfold";
export default defineFunction<{ kind?: string; n: number }, unknown>({
  source: "odd",
  sink: "odd-states",
  reduce(state = { n: 0 }, event) {
    if (event.kind === "function") return () => 1;
    if (event.kind === "symbol") return Symbol("s");
    if (event.kind === "deep function") return { n: 1, f: () => 1 };
    if (event.kind === "promise") return Promise.resolve({ n: 1 });
    if (event.kind === "cycle") { const c: Record<string, unknown> = { n: 1 }; c.c = c; return c; }
    if (event.kind === "large") return { n: 1, text: "x".repeat(100_000) };
    return { n: (state as { n: number }).n + event.n };
  },
});
`,
};

describe("error policies", () => {
  let project: Project;
  let run: RunningEngine;
  before(async () => {
    project = await createProject(FUNCTIONS);
    run = await startEngine(
      await project.config({
        "state.dir": `${project.dir}/state`,
        "processing.guarantee": "exactly_once_v2",
        "num.stream.threads": 1,
        defaultPartitions: 1,
        limits: { "state.max.bytes": 10_000 },
      }),
    );
  });
  after(async () => {
    await run?.stop();
    await project?.remove();
  });

  const append = (topic: string, key: string, values: readonly unknown[], headers?: Record<string, string>) =>
    run.api.append(
      topic,
      values.map((value) => ({
        key,
        value: value instanceof Uint8Array ? value : Buffer.from(JSON.stringify(value)),
        timestamp: 1_000,
        ...(headers === undefined ? {} : { headers }),
      })),
    );
  const state = async (fn: string, key: string, atLeast?: { partition: number; offset: number }): Promise<unknown> => {
    const text = await run.api.get(fn, key, atLeast === undefined ? {} : { atLeast });
    return text === undefined ? undefined : (JSON.parse(text) as { value: unknown }).value;
  };
  const records = (topic: string, count: number): Promise<ReadRecord[]> =>
    until(`${count} records in ${topic}`, async () => {
      if ((await run.log.describe(topic)) === undefined) return undefined;
      const found = await readTopic(run.log, topic);
      return found.length >= count ? found : undefined;
    });

  test("dead-letter, the default: the record goes aside with its story, its neighbours go on", async () => {
    const positions = await append("letters", "k", [{ n: 1 }, { n: 2, boom: true }, { n: 4 }], { trace: "abc" });
    assert.equal(await state("letters", "k", positions[2]), 5);
    const [letter, ...more] = await records("app-letters-dead-letters", 1);
    assert.equal(more.length, 0);
    assert.ok(letter);
    assert.equal(letter.key, "k");
    assert.deepEqual(letter.value, { n: 2, boom: true });
    const version = run.engine.api.functions().then((all) => all.find(({ name }) => name === "letters")?.version);
    const { "__streams.errors.stacktrace": stack, ...headers } = letter.headers;
    assert.deepEqual(headers, {
      trace: "abc",
      "__streams.errors.exception": "TypeError",
      "__streams.errors.message": "no 2",
      "__streams.errors.topic": "letters",
      "__streams.errors.partition": "0",
      "__streams.errors.offset": String(positions[1]?.offset),
      "keyfold.errors.code": "reducer-threw",
      "keyfold.errors.function": "letters",
      "keyfold.errors.version": await version,
      "keyfold.errors.task": "0_0",
      "keyfold.errors.state-before": "1",
    });
    assert.match(stack ?? "", /^TypeError: no 2\n {4}at /);
    // What the failed record had emitted is gone with it.
    assert.deepEqual(
      (await records("letters-audit", 2)).map(({ value }) => value),
      [1, 4],
    );
  });

  test("a topic for dead letters by name", async () => {
    await append("named", "k", [{ n: 1, boom: true }]);
    const [letter] = await records("graveyard", 1);
    assert.equal(letter?.headers["keyfold.errors.function"], "named");
    assert.equal(letter?.headers["keyfold.errors.state-before"], "null");
  });

  test("an undecodable record goes aside as it came", async () => {
    const positions = await append("letters", "raw", [{ n: 1 }, Buffer.from("{not json"), { n: 1 }]);
    assert.equal(await state("letters", "raw", positions[2]), 2);
    const letter = await until("the letter", async () => {
      const batch = await run.api.read("app-letters-dead-letters", 0, 0, 0);
      return batch.records.find(({ headers }) => headers?.["keyfold.errors.code"] === "record-undecodable");
    });
    assert.equal(letter.key, "raw");
    assert.deepEqual(letter.value, { base64: Buffer.from("{not json").toString("base64") });
  });

  test("a tombstone and a record without a key are dropped and counted, not dead-lettered", async () => {
    const before = (await readTopic(run.log, "app-letters-dead-letters")).length;
    await run.api.append("letters", [
      { key: null, value: Buffer.from('{"n":1}') },
      { key: "k2", value: null },
    ]);
    const [last] = await append("letters", "k2", [{ n: 3 }]);
    assert.equal(await state("letters", "k2", last), 3);
    assert.equal((await readTopic(run.log, "app-letters-dead-letters")).length, before);
  });

  test("retry: tried again with back-off, then dead-lettered; the others wait and go on", async () => {
    const positions = await append("retries", "k", [{ n: 1 }, { n: 2, boom: true }, { n: 4 }]);
    assert.equal(await state("retries", "k", positions[2]), 5);
    const letters = await records("app-retries-dead-letters", 1);
    assert.equal(letters.length, 1);
    const tasks = await run.engine.api.tasks();
    assert.equal(tasks.find(({ function: fn }) => fn === "retries")?.state, "RUNNING");
    assert.deepEqual(
      (await records("retries-audit", 2)).map(({ value }) => value),
      [1, 4],
    );
  });

  test("an invoke of an event that is refused is told why", async () => {
    await assert.rejects(run.api.invoke("letters", "i", Buffer.from('{"n":9,"boom":true}'), "committed"), {
      code: "reducer-threw",
      message: /TypeError: no 9/,
    });
    const answer = JSON.parse(await run.api.invoke("letters", "i", Buffer.from('{"n":9}'), "committed")) as { value: unknown };
    assert.equal(answer.value, 9);
  });

  test("fail stops that function alone; health says why; who waits is told", async () => {
    await run.api.invoke("stops", "k", Buffer.from('{"n":1}'), "committed");
    const waiting = Promise.allSettled([
      run.api.invoke("stops", "k", Buffer.from('{"n":2,"boom":true}'), "committed"),
      run.api.invoke("stops", "k", Buffer.from('{"n":3}'), "committed"),
    ]);
    await until("it is stopped", () => run.api.unhealthy().length > 0);
    for (const outcome of await waiting)
      assert.equal(outcome.status === "rejected" && (outcome.reason as { code: string }).code, "task-failed");
    assert.match(run.api.unhealthy().join(), /function stops: .*TypeError: no 2 at stops\[0\] offset 1; stopped because onError is "fail"/);
    assert.deepEqual(run.api.notReady(), []);
    const all = await run.api.functions();
    assert.deepEqual(Object.fromEntries(all.map(({ name, state: at }) => [name, at])), {
      letters: "RUNNING",
      named: "RUNNING",
      retries: "RUNNING",
      stops: "ERROR",
      mutates: "RUNNING",
      odd: "RUNNING",
    });
    await assert.rejects(run.api.get("stops", "k", {}), { code: "task-failed" });
    await assert.rejects(async () => run.api.invoke("stops", "k", Buffer.from('{"n":4}'), "committed"), { code: "task-failed" });
    const positions = await append("letters", "after", [{ n: 7 }]);
    assert.equal(await state("letters", "after", positions[0]), 7);
  });

  test("changed in place and thrown over: as if the record had never come, and what came before it in the batch stays", async () => {
    // Many in one batch: what was found once must not be found again at each replay.
    const events = Array.from({ length: 120 }, (_, i) => ({ n: i + 1, ...(i % 5 === 2 ? { boom: true } : {}) }));
    const positions = await append("mutations", "k", events);
    const kept = events.filter((event) => !("boom" in event)).map(({ n }) => n);
    assert.deepEqual(await state("mutates", "k", positions.at(-1)), { list: kept, sum: kept.reduce((a, b) => a + b, 0) });
    assert.equal((await records("app-mutates-dead-letters", 24)).length, 24);
  });

  for (const [kind, code] of [
    ["function", "state-unstorable"],
    ["symbol", "state-unstorable"],
    ["deep function", "state-unstorable"],
    ["promise", "state-unstorable"],
    ["cycle", "state-unstorable"],
    ["large", "state-too-large"],
  ] as const) {
    test(`a state that cannot be stored: ${kind}`, async () => {
      const key = kind.replaceAll(" ", "-");
      // One by one: a state that the next event replaces before the commit is never written, and needs not be storable.
      await append("odd", key, [{ n: 1 }, { kind, n: 0 }]);
      await until(
        "the letter",
        async () =>
          (await run.log.describe("app-odd-dead-letters")) !== undefined &&
          (await readTopic(run.log, "app-odd-dead-letters")).some((letter) => letter.key === key),
      );
      const positions = await append("odd", key, [{ n: 1 }]);
      assert.deepEqual(await state("odd", key, positions[0]), { n: 2 });
      const letters = (await readTopic(run.log, "app-odd-dead-letters")).filter((letter) => letter.key === key);
      assert.deepEqual(
        letters.map(({ value, headers }) => [value, headers["keyfold.errors.code"], headers["keyfold.errors.state-before"]]),
        [[{ kind, n: 0 }, code, '{"n":1}']],
      );
    });
  }
});
