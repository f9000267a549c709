import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, rmSync, utimesSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { build } from "../../runtime/bundle/build.ts";
import type { ResolvedConfig } from "../../runtime/config/resolved.ts";
import { openEmbeddedLog } from "../../runtime/log/embedded/log.ts";
import { createProject, type Project, type RunningEngine, startEngine } from "../fixtures/engine.ts";
import { until } from "../fixtures/until.ts";

const HOUR = 3_600_000;
const SUM = `
import { defineFunction } from "keyfold";
export default defineFunction<{ n: number }, number>({ source: "events", reduce: (n = 0, event) => n + event.n });
`;
const UNLOGGED = `
import { defineFunction, rocksdb } from "keyfold";
export default defineFunction<{ n: number }, number>({ source: "events", store: rocksdb({ logged: false }), reduce: (n = 0, event) => n + event.n });
`;
const STRICT = `
import { defineFunction, rocksdb } from "keyfold";
export default defineFunction<{ n: number }, number>({
  source: "events",
  store: rocksdb({ logged: false }),
  onError: "fail",
  reduce(n = 0, event) {
    if (event.n === 13) throw new Error("no");
    return n + event.n;
  },
});
`;
const HOURLY = `
import { defineFunction, tumbling } from "keyfold";
export default defineFunction<{ n: number }, number>({ source: "events", window: tumbling("1 hour"), reduce: (n = 0, event) => n + event.n });
`;

describe("what becomes of state that could be lost", () => {
  let project: Project;
  let run: RunningEngine | undefined;
  let config: ResolvedConfig;
  before(async () => {
    project = await createProject({ sum: SUM, hourly: HOURLY, strict: STRICT });
  });
  afterEach(async () => {
    await run?.stop();
    run = undefined;
  });
  after(() => project?.remove());

  const start = async (fn: string, name: string, layer: Parameters<Project["config"]>[0] = {}): Promise<RunningEngine> => {
    config = await project.single(name, layer);
    run = await startEngine(config, {}, [fn]);
    return run;
  };
  const again = async (fn: string): Promise<RunningEngine> => {
    run = await startEngine(config, {}, [fn]);
    return run;
  };
  const feed = async (keys: readonly string[], time: (i: number) => number = Date.now): Promise<void> => {
    assert.ok(run);
    const { api } = run;
    const before = (await api.tasks())[0]?.positions;
    const from = Number(Object.values(before ?? {})[0] ?? 0);
    await api.append(
      "events",
      keys.map((key, i) => ({ key, value: Buffer.from('{"n":1}'), timestamp: time(i) })),
    );
    await until("all is committed", async () =>
      (await api.tasks()).every(({ committed }) => Object.values(committed)[0] === from + keys.length),
    );
  };
  const rows = async (fn: string): Promise<string[]> => [...((await run?.api.list(fn, { limit: 1_000 }))?.items ?? [])];
  const storeDir = (fn: string): string => join(config.engine["state.dir"], `app-${fn}`, "0_0", "rocksdb");

  test("windows of events of long ago come back from their changelog", async () => {
    await start("hourly", "old");
    const longAgo = Date.parse("2001-01-01T00:00:00Z");
    await feed(["a", "b", "a", "b", "a"], (i) => longAgo + i * HOUR);
    const expected = await rows("hourly");
    assert.equal(expected.length, 5);
    await run?.stop();
    const log = await openEmbeddedLog({ dir: join(config.engine["state.dir"], "log"), flush: "os" });
    await log.cleanNow();
    await log.close();
    rmSync(join(config.engine["state.dir"], "app-hourly"), { recursive: true });
    await again("hourly");
    assert.deepEqual(await rows("hourly"), expected);
  });

  test("a store whose log is gone is set aside, not deleted", async () => {
    await start("sum", "nolog");
    await feed(["a", "b", "a"]);
    await run?.stop();
    rmSync(join(config.engine["state.dir"], "log"), { recursive: true });
    await again("sum");
    assert.deepEqual(await rows("sum"), []);
    const aside = readdirSync(storeDir("sum")).filter((name) => name.startsWith("state.corrupt-"));
    assert.equal(aside.length, 1);
    assert.ok(readdirSync(join(storeDir("sum"), aside[0] ?? "")).includes("CURRENT"));
  });

  test("rows of which nobody knows how far they go are not rolled forward; with a changelog that is new they stay", async () => {
    const rebuild = async (source: string): Promise<void> => {
      await writeFile(join(project.dir, "functions", "sum.ts"), source);
      await build(config);
    };
    await start("sum", "unplaced");
    await feed(["a"]);
    await run?.stop();
    rmSync(storeDir("sum"), { recursive: true });
    await rebuild(UNLOGGED);
    await again("sum");
    await feed(["b"]);
    assert.deepEqual((await rows("sum")).map(keyAndValue), ["b=1"]);
    await run?.stop();
    await rebuild(SUM);
    await again("sum");
    assert.deepEqual((await rows("sum")).map(keyAndValue), ["a=1"], "as the changelog has it");
    assert.equal(readdirSync(storeDir("sum")).filter((name) => name.startsWith("state.corrupt-")).length, 1);
    await run?.stop();

    await rebuild(UNLOGGED);
    await start("sum", "logged-later");
    await feed(["c"]);
    await run?.stop();
    await rebuild(SUM);
    await again("sum");
    await feed(["d"]);
    await run?.stop();
    await again("sum");
    assert.deepEqual((await rows("sum")).map(keyAndValue), ["c=1", "d=1"]);
  });

  test("the directories of a function that has failed are kept, however long", async () => {
    const { api } = await start("strict", "failed", { "state.cleanup.delay.ms": 1_000 });
    await feed(["a", "b"]);
    const abandoned = join(config.engine["state.dir"], "app-strict", "0_7");
    mkdirSync(abandoned);
    await api.append("events", [{ key: "a", value: Buffer.from('{"n":13}') }]);
    await until("it has failed", () => api.unhealthy().length > 0);
    // What the cleaner removes beside it was last used later.
    await until("its task has let go", () => !existsSync(join(storeDir("strict"), "..", ".lock")));
    const later = new Date();
    utimesSync(abandoned, later, later);
    await until("the cleaner has been round", () => !existsSync(abandoned));
    assert.deepEqual(readdirSync(storeDir("strict")), ["state"]);
  });
});

function keyAndValue(row: string): string {
  const { key, value } = JSON.parse(row) as { key: string; value: number };
  return `${key}=${value}`;
}
