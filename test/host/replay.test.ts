import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { build } from "../../runtime/bundle/build.ts";
import { readManifests } from "../../runtime/bundle/build-dir.ts";
import type { ResolvedConfig } from "../../runtime/config/resolved.ts";
import { createProject, type Project, type RunningEngine, readTopic, startEngine } from "../fixtures/engine.ts";
import { until } from "../fixtures/until.ts";

const DICE = `
import { defineFunction } from "keyfold";
export default defineFunction<{ n: number }, { drawn: number[]; now: number[] }>({
  source: "rolls",
  reduce(state = { drawn: [], now: [] }, _event, ctx) {
    return { drawn: [...state.drawn, ctx.random(), ctx.random()], now: [...state.now, ctx.now()] };
  },
});
`;
const shaped = (version: number): string => `
import { defineFunction } from "keyfold";
export default defineFunction<{ n: number }, { v: number; n: number }>({
  source: "shapes",
  schemaVersion: ${version},
  reduce: (state, event) => ({ v: ${version}, n: (state?.n ?? 0) + event.n }),
});
`;
const ODD = `
import { defineFunction } from "keyfold";
export default defineFunction<{ cycle?: boolean }, unknown>({
  source: "odd",
  reduce(_state, event) {
    const state: Record<string, unknown> = { ok: true };
    if (event.cycle) state.self = state;
    return state;
  },
});
`;
/** Says what time it is, by the clock, and keeps it: nothing else ever makes this task dirty. */
const CLOCK = `
import { defineFunction } from "keyfold";
export default defineFunction<{ n: number }, never>({
  source: "ticks",
  stores: { times: {} },
  init(ctx) {
    ctx.schedule(20, "wall-clock", () => ctx.store<number>("times").put("fired", (ctx.store<number>("times").get("fired") ?? 0) + 1));
  },
  process() {},
});
`;

describe("what a replay and a change of code find", () => {
  let project: Project;
  let run: RunningEngine | undefined;
  let config: ResolvedConfig;
  before(async () => {
    project = await createProject({ dice: DICE, shape: shaped(2), odd: ODD, clock: CLOCK });
  });
  afterEach(async () => {
    await run?.stop();
    run = undefined;
  });
  after(() => project?.remove());
  const start = async (name: string, interval: number): Promise<RunningEngine> => {
    config = await project.config({
      "state.dir": join(project.dir, name),
      "processing.guarantee": "exactly_once_v2",
      "num.stream.threads": 1,
      defaultPartitions: 1,
      "commit.interval.ms": interval,
    });
    run = await startEngine(config);
    return run;
  };

  test("ctx.random and ctx.now are the same again when events come again", async () => {
    const { api } = await start("dice", 1_000_000);
    const last = (
      await api.append(
        "rolls",
        Array.from({ length: 20 }, () => ({ key: "d", value: Buffer.from('{"n":1}') })),
      )
    ).at(-1);
    assert.ok(last);
    const value = async (): Promise<{ drawn: number[]; now: number[] }> =>
      (JSON.parse((await run?.api.get("dice", "d", { atLeast: last })) ?? "") as { value: { drawn: number[]; now: number[] } }).value;
    const first = await value();
    // Nothing was committed: everything is processed again.
    await run?.crash();
    run = await startEngine(config);
    assert.deepEqual(await value(), first);
    assert.equal(new Set(first.drawn).size, 40);
    assert.ok(first.drawn.every((x) => x >= 0 && x < 1));
  });

  test("a state that this code cannot read: its events go aside with the reason, and the worker lives", async () => {
    const { api, engine, log } = await start("shapes", 5);
    await api.invoke("shape", "k", Buffer.from('{"n":1}'), "committed");
    await writeFile(join(project.dir, "functions", "shape.ts"), shaped(1));
    assert.deepEqual((await build(await project.config())).failures, []);
    const manifest = readManifests(config.buildDir).find(({ name }) => name === "shape");
    assert.ok(manifest);
    await engine.swap(manifest);
    await engine.running();
    await assert.rejects(api.invoke("shape", "k", Buffer.from('{"n":2}'), "committed"), { code: "state-unreadable" });
    const [letter] = await readTopic(log, "app-shape-dead-letters");
    assert.equal(letter?.headers["keyfold.errors.code"], "state-unreadable");
    assert.match(letter?.headers["keyfold.errors.state-before"] ?? "", /^"unreadable: /);
    await api.invoke("shape", "other", Buffer.from('{"n":2}'), "committed");
    assert.deepEqual(api.unhealthy(), []);
  });

  test("who waits for a state that cannot be told gets an error, and the worker lives", async () => {
    const { api, log } = await start("odd", 5);
    await assert.rejects(api.invoke("odd", "k", Buffer.from('{"cycle":true}'), "processed"));
    await assert.rejects(api.invoke("odd", "k", Buffer.from('{"cycle":true}'), "committed"), { code: "state-unstorable" });
    await until("both are dead letters", async () => (await readTopic(log, "app-odd-dead-letters")).length === 2);
    assert.equal(
      (JSON.parse(await api.invoke("odd", "k", Buffer.from("{}"), "committed")) as { value: unknown }).value instanceof Object,
      true,
    );
  });

  test("what a schedule writes is committed though no event comes", async () => {
    const { log } = await start("clock", 5);
    await until("it is in the changelog", async () => {
      const topic = "app-clock-times-changelog";
      return (await log.describe(topic)) !== undefined && ((await log.offsets([{ topic, partition: 0 }]))[0]?.end ?? 0) >= 2;
    });
  });
});
