import assert from "node:assert/strict";
import { open as openFile, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import type { ResolvedConfig } from "../../runtime/config/resolved.ts";
import { KeyfoldError } from "../../runtime/errors.ts";
import { openEmbeddedLog } from "../../runtime/log/embedded/log.ts";
import type { Log } from "../../runtime/log/log.ts";
import { createProject, type Project, type RunningEngine, readTopic, startEngine } from "../fixtures/engine.ts";
import { printedSeed, Random } from "../fixtures/random.ts";
import { until } from "../fixtures/until.ts";
import { entries, open } from "../state/harness.ts";

const SUM = `
import { defineFunction } from "keyfold";
export default defineFunction<{ n: number }, { sum: number; pad: string }>({
  source: "events",
  sink: "sums",
  reduce(state = { sum: 0, pad: "" }, event, ctx) {
    ctx.emit("audit", event.n);
    return { sum: state.sum + event.n, pad: ctx.key.repeat(event.n < 2_000 ? 20 : 2_000) + Math.sin(event.n) };
  },
});
`;

/** Keeps each time at which its schedule fired: nothing of the source goes into its commits. */
const TIMES = `
import { defineFunction } from "keyfold";
export default defineFunction<{ n: number }, never>({
  source: "nothing",
  stores: { times: {} },
  init(ctx) {
    ctx.schedule(20, "wall-clock", (now) => ctx.store<number>("times").put(String(now), 1));
  },
  process() {},
});
`;

type Fault = "none" | "refused" | "done, but not said";

/** A log whose commits fail when they are told to; `done, but not said` is what a crash of a disk or a connection looks like. */
function faulty(log: Log, next: () => Fault): Log {
  const failure = (): KeyfoldError => new KeyfoldError("log-unavailable", "the log is away", { remedy: "retry" });
  return {
    kind: log.kind,
    ensureTopic: (spec) => log.ensureTopic(spec),
    describe: (topic) => log.describe(topic),
    topics: () => log.topics(),
    deleteTopic: (topic) => log.deleteTopic(topic),
    offsets: (partitions) => log.offsets(partitions),
    fetch: (request) => log.fetch(request),
    append: (batches) => log.append(batches),
    async commit(request) {
      const fault = next();
      if (fault === "refused") throw failure();
      const bases = await log.commit(request);
      if (fault !== "none") throw failure();
      return bases;
    },
    committed: (group, partitions) => log.committed(group, partitions),
    deleteGroup: (group) => log.deleteGroup(group),
    close: () => log.close(),
  };
}

describe("what fails below the engine", () => {
  let project: Project;
  let config: ResolvedConfig;
  let run: RunningEngine | undefined;
  const random = new Random(printedSeed("broken"));
  before(async () => {
    project = await createProject({ sum: SUM, times: TIMES });
  });
  let ownLog: Log | undefined;
  afterEach(async () => {
    await run?.stop();
    await ownLog?.close();
    run = ownLog = undefined;
  });
  after(() => project?.remove());

  const configOf = async (name: string, layer: Parameters<Project["config"]>[0] = {}) => {
    config = await project.single(name, layer);
    return config;
  };
  const feed = async (from: number, count: number, keys: number) => {
    assert.ok(run);
    const records = Array.from({ length: count }, (_, i) => ({
      key: `k${(from + i) % keys}`,
      value: Buffer.from(JSON.stringify({ n: from + i })),
    }));
    return (await run.api.append("events", records)).at(-1);
  };
  /** Every event once, in state, sink and what was emitted. */
  const judge = async (count: number, keys: number): Promise<void> => {
    assert.ok(run);
    const sums = new Map<string, number>();
    for (let n = 0; n < count; n++) sums.set(`k${n % keys}`, (sums.get(`k${n % keys}`) ?? 0) + n);
    const { items } = await run.api.list("sum", { limit: 100_000 });
    const states = items.map((item) => JSON.parse(item) as { key: string; value: { sum: number } });
    assert.deepEqual(new Map(states.map(({ key, value }) => [key, value.sum])), new Map([...sums].sort()));
    const { log } = run;
    await until(
      "all is committed",
      async () => ((await log.committed("app-sum", [{ topic: "events", partition: 0 }]))[0]?.offset ?? 0) === count,
    );
    const audit = (await readTopic(log, "audit")).map(({ value }) => value as number).sort((a, b) => a - b);
    assert.deepEqual(
      audit,
      Array.from({ length: count }, (_, n) => n),
    );
    const last = new Map((await readTopic(log, "sums")).map(({ key, value }) => [key, (value as { sum: number }).sum]));
    assert.deepEqual(
      last,
      new Map([...sums].sort((a, b) => (last.size > 0 ? [...last.keys()].indexOf(a[0]) - [...last.keys()].indexOf(b[0]) : 0))),
    );
  };

  test("commits that fail, and commits that were done but not said: each event counts once", async () => {
    await configOf("commits", { "commit.interval.ms": 5 });
    const log = await openEmbeddedLog({ dir: join(config.engine["state.dir"], "log"), flush: "os" });
    ownLog = log;
    const told: Fault[] = [];
    let fed = 0;
    let commits = 0;
    run = await startEngine(
      config,
      {
        log: faulty(log, () => {
          commits++;
          const fault: Fault = told.length >= 6 || commits % 2 === 1 ? "none" : random.chance(0.5) ? "refused" : "done, but not said";
          if (fault !== "none") told.push(fault);
          return fault;
        }),
      },
      ["sum"],
    );
    const answers: Promise<string>[] = [];
    for (; told.length < 6; fed += 50) {
      await feed(fed, 49, 7);
      const answer = run.api.invoke("sum", `k${(fed + 49) % 7}`, Buffer.from(JSON.stringify({ n: fed + 49 })), "committed");
      // Looked at below; a refusal that comes earlier is no failure of the test.
      answer.catch(() => {});
      answers.push(answer);
      await until(
        "a commit or two",
        async () =>
          run !== undefined &&
          (run.api.notReady().length > 0 || Number(Object.values((await run.api.tasks())[0]?.committed ?? {})[0] ?? 0) > fed - 200),
      );
    }
    // Who was answered was answered truly; who could not be is told to look.
    let expected = 0;
    for (const answer of await Promise.allSettled(answers)) {
      if (answer.status === "fulfilled") expected++;
      else assert.equal((answer.reason as KeyfoldError).code, "not-ready");
    }
    assert.ok(expected > 0);
    await until("everything is processed", async () =>
      (await run?.api.tasks())?.every(({ lag, state }) => lag === 0 && state === "RUNNING"),
    );
    await judge(fed, 7);
  });

  test("a commit without offsets that was done, but not said: the store has what the changelog has", async () => {
    await configOf("schedules", { "commit.interval.ms": 5 });
    const log = await openEmbeddedLog({ dir: join(config.engine["state.dir"], "log"), flush: "os" });
    ownLog = log;
    let commits = 0;
    run = await startEngine(config, { log: faulty(log, () => (++commits === 3 ? "done, but not said" : "none")) }, ["times"]);
    await until("some more commits", () => commits > 6);
    await run.stop();
    const logged = (await readTopic(log, "app-times-times-changelog")).map(({ key }) => key);
    const store = await open<number>(join(config.engine["state.dir"], "app-times", "0_0"), { name: "times" });
    const held = entries(store).map(([key]) => key);
    await store.close();
    assert.deepEqual(held, [...logged].sort());
  });

  test("a store that turns out to be corrupt while it is read: set aside, restored, nothing is held against the events", async () => {
    await configOf("corrupt", { "cache.max.bytes.buffering": 0, "state.memory.bytes": 8 << 20, "commit.interval.ms": 5 });
    run = await startEngine(config, {}, ["sum"]);
    // Enough bytes, in enough commits, to fill the store's memory and have it write tables.
    const keys = 250;
    const half = 4_000;
    for (let fed = 0; fed < half; fed += keys) {
      await feed(fed, keys, keys);
      await until("they are committed", async () =>
        (await run?.api.tasks())?.every(({ committed }) => Object.values(committed)[0] === fed + keys),
      );
    }
    await run.stop();
    const store = join(config.engine["state.dir"], "app-sum", "0_0", "rocksdb", "state");
    const tables = (await readdir(store)).filter((name) => name.endsWith(".sst"));
    assert.ok(tables.length > 0, "there is a table to damage");
    for (const table of tables) await garble(join(store, table));
    run = await startEngine(config, {}, ["sum"]);
    // A reader may find it first, or the reducer: both are told what it is, or wait.
    const last = await feed(half, half, keys);
    const { api } = run;
    await until("everything is processed", () =>
      api
        .get("sum", `k${(2 * half - 1) % keys}`, last === undefined ? {} : { atLeast: last })
        .catch((thrown: KeyfoldError) => assert.equal(thrown.code, "not-ready")),
    );
    await until(
      "it runs again",
      async () =>
        (await api.list("sum", { limit: 100_000 }).catch((thrown: KeyfoldError) => assert.equal(thrown.code, "not-ready"))) !== undefined &&
        api.notReady().length === 0,
    );
    assert.deepEqual(run.api.unhealthy(), []);
    assert.equal(await run.log.describe("app-sum-dead-letters"), undefined);
    await judge(2 * half, keys);
    const aside = (await readdir(join(config.engine["state.dir"], "app-sum", "0_0", "rocksdb"))).filter((name) =>
      name.startsWith("state.corrupt-"),
    );
    assert.equal(aside.length, 1);
  });

  test("the source lost records that were not read yet: the function stops and says how many", async () => {
    await configOf("gap");
    run = await startEngine(config, {}, ["sum"]);
    await feed(0, 10, 1);
    await until("it is committed", async () => (await run?.api.tasks())?.every(({ committed }) => Object.values(committed)[0] === 10));
    await run.stop();
    const log = await openEmbeddedLog({ dir: join(config.engine["state.dir"], "log"), flush: "os" });
    run = undefined;
    const { BatchBuilder } = await import("../../runtime/log/record-batch.ts");
    for (let n = 10; n < 20; n++) {
      const builder = new BatchBuilder();
      builder.append("k0", Buffer.from(JSON.stringify({ n })), 1);
      await log.append([{ topic: "events", partition: 0, count: 1, data: builder.finish() }]);
    }
    await log.deleteRecords({ topic: "events", partition: 0 }, 15);
    await log.close();
    run = await startEngine(config, {}, ["sum"]);
    await until("it is stopped", () => (run?.api.unhealthy().length ?? 0) > 0);
    assert.match(run.api.unhealthy().join(), /function sum: .*\b5\b/);
  });
});

/** Turns bytes in the middle of a file over; its size stays. */
async function garble(path: string): Promise<void> {
  const { size } = await stat(path);
  const file = await openFile(path, "r+");
  try {
    const length = Math.floor(size / 4);
    const { buffer } = await file.read(Buffer.alloc(length), 0, length, Math.floor(size / 8));
    for (let i = 0; i < length; i += 7) buffer[i] = (buffer[i] ?? 0) ^ 0xff;
    await file.write(buffer, 0, length, Math.floor(size / 8));
  } finally {
    await file.close();
  }
}
