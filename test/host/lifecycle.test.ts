import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, rm, utimes, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { pino } from "pino";
import { build } from "../../runtime/bundle/build.ts";
import { readManifests } from "../../runtime/bundle/build-dir.ts";
import type { Manifest } from "../../runtime/bundle/manifest.ts";
import type { ResolvedConfig } from "../../runtime/config/resolved.ts";
import type { KeyfoldError } from "../../runtime/errors.ts";
import { startHost } from "../../runtime/host/host.ts";
import type { RestoreEvent } from "../../runtime/worker/messages.ts";
import { createProject, type Project, type RunningEngine, startEngine } from "../fixtures/engine.ts";
import { until } from "../fixtures/until.ts";

const adding = (by: string, rest = ""): string => `
import { defineFunction } from "keyfold";
export default defineFunction<{ n: number }, number>({ source: "events", ${rest} reduce: (sum = 0, event) => sum + event.n${by} });
`;

describe("the life of a host", () => {
  let project: Project;
  let run: RunningEngine | undefined;
  let config: ResolvedConfig;
  before(async () => {
    project = await createProject({ sum: adding("") });
  });
  afterEach(async () => {
    await run?.stop();
    run = undefined;
  });
  after(() => project?.remove());

  const start = async (
    name: string,
    layer: Parameters<Project["config"]>[0] = {},
    options: Parameters<typeof startEngine>[1] = {},
  ): Promise<RunningEngine> => {
    await source("sum", adding(""));
    config = await project.config({
      "state.dir": join(project.dir, name),
      "processing.guarantee": "exactly_once_v2",
      "num.stream.threads": 2,
      defaultPartitions: 2,
      ...layer,
    });
    run = await startEngine(config, options);
    return run;
  };
  const source = async (name: string, text: string | undefined): Promise<Manifest | undefined> => {
    const file = join(project.dir, "functions", `${name}.ts`);
    if (text === undefined) {
      await rm(file);
      return undefined;
    }
    await writeFile(file, text);
    const { failures } = await build(await project.config());
    assert.deepEqual(failures, []);
    return readManifests(join(project.dir, ".keyfold", "build")).find((manifest) => manifest.name === name);
  };
  const swap = async (name: string, text: string): Promise<void> => {
    const manifest = await source(name, text);
    assert.ok(manifest);
    await run?.engine.swap(manifest);
    await run?.engine.running();
  };
  const invoke = async (fn: string, key: string, n: number): Promise<unknown> => {
    assert.ok(run);
    return (JSON.parse(await run.api.invoke(fn, key, Buffer.from(JSON.stringify({ n })), "committed")) as { value: unknown }).value;
  };

  test("new code takes over at a commit: state and positions stay, and so does who listens", async () => {
    const { api } = await start("swap");
    const changes: string[] = [];
    api.live("sum", undefined, (json) => changes.push((JSON.parse(json) as { key: string }).key));
    assert.equal(await invoke("sum", "a", 1), 1);
    assert.equal(await invoke("sum", "b", 2), 2);
    const before = (await api.functions())[0]?.version;
    await swap("sum", adding(" * 10"));
    assert.notEqual((await api.functions())[0]?.version, before);
    assert.equal(await invoke("sum", "a", 1), 11);
    // Other settings: the tasks are given back and taken up again.
    await swap("sum", adding(" * 100", `"max.in.flight.keys": 3,`));
    assert.equal(await invoke("sum", "b", 1), 102);
    await until("changes go on to be told", () => changes.length >= 4);
    assert.deepEqual(changes.sort(), ["a", "a", "b", "b"]);
    assert.deepEqual(await api.count("sum", { limit: 10 }), 2);
  });

  test("while code is swapped again and again, events are processed once and by one version or another", async () => {
    await start("swaps");
    const answers: Promise<unknown>[] = [];
    for (let round = 0; round < 6; round++) {
      for (let i = 0; i < 20; i++) answers.push(invoke("sum", `k${i % 4}`, 1));
      await swap("sum", adding(round % 2 === 0 ? " + 0" : "", round % 3 === 0 ? `"max.in.flight.keys": ${round + 2},` : ""));
    }
    const all = (await Promise.all(answers)) as number[];
    // Every key is counted to 30 without a gap: each value comes back once.
    assert.deepEqual(
      all.sort((a, b) => a - b),
      Array.from({ length: 30 }, (_, i) => [i + 1, i + 1, i + 1, i + 1]).flat(),
    );
  });

  test("a function goes and comes again, and knows what it knew; one that comes new begins at the beginning", async () => {
    const { api, engine } = await start("remove");
    assert.equal(await invoke("sum", "a", 1), 1);
    const manifest = readManifests(config.buildDir)[0];
    assert.ok(manifest);
    await engine.remove("sum");
    await assert.rejects(async () => api.get("sum", "a", {}), { code: "function-unknown" });
    assert.deepEqual(await api.functions(), []);
    await api.append("events", [{ key: "a", value: Buffer.from('{"n":2}') }]);
    await engine.swap(manifest);
    await engine.running();
    assert.equal(await invoke("sum", "a", 4), 7);
    await swap("late", adding(" * 2"));
    assert.equal(await invoke("late", "a", 8), 30);
    await source("late", undefined);
  });

  test("a function whose sources do not match is told with the reason, wherever one looks, until it is repaired", async () => {
    const { api } = await start("mismatch", { topics: { events: { partitions: 2 }, rates: { partitions: 3 } } });
    const joined = (rest: string): string => `
import { defineFunction, stream, table } from "keyfold";
export default defineFunction({
  source: stream<{ n: number }>("events")${rest}.join(table<number>("rates"), (event, rate) => ({ n: event.n * rate })),
  reduce: (sum = 0, event) => sum + event.n,
});
`;
    await assert.rejects(swap("joined", joined("")), { code: "topology-invalid" });
    const why = /events has 2, rates has 3/;
    const listed = (await api.functions()).find(({ name }) => name === "joined");
    assert.equal(listed?.state, "ERROR");
    assert.match(listed?.error ?? "", why);
    assert.match(api.unhealthy().join(), why);
    // As any function that has failed: those that can run do.
    assert.deepEqual(api.notReady(), []);
    await assert.rejects(async () => api.get("joined", "a", {}), { code: "task-failed", message: why });
    await swap("joined", joined(".repartition()"));
    assert.equal((await api.functions()).find(({ name }) => name === "joined")?.state, "RUNNING");
    assert.deepEqual(api.unhealthy(), []);

    // A good one that becomes bad is not left as running.
    await swap("joined", joined("")).catch(() => {});
    assert.match((await api.functions()).find(({ name }) => name === "joined")?.error ?? "", why);
    await source("joined", undefined);
  });

  test("the listeners hear of every state, and of what is restored from where", async () => {
    const states: string[] = [];
    const restores: RestoreEvent[] = [];
    const options = {
      onStateChange: (fn: string, next: string, previous: string) => void states.push(`${fn} ${previous} ${next}`),
      onRestore: (event: RestoreEvent) => void restores.push(event),
    };
    const life = ["sum CREATED REBALANCING", "sum REBALANCING RUNNING", "sum RUNNING PENDING_SHUTDOWN", "sum PENDING_SHUTDOWN NOT_RUNNING"];
    await start("listeners", { defaultPartitions: 1 }, options);
    for (let i = 0; i < 5; i++) await invoke("sum", `k${i}`, 1);
    await run?.stop();
    assert.deepEqual(states, life);
    const story = (): unknown[] =>
      restores
        .splice(0)
        .map((event) =>
          event.kind === "start" ? [event.startingOffset, event.endingOffset] : event.kind === "end" ? event.totalRestored : "batch",
        );
    assert.deepEqual(story(), [[0, 0], 0]);

    // From its own position: nothing is read again.
    run = await startEngine(config, options);
    await run.stop();
    assert.deepEqual(story(), [[5, 5], 0]);

    // From nothing.
    await rm(join(config.engine["state.dir"], "app-sum"), { recursive: true });
    run = await startEngine(config, options);
    assert.deepEqual(story(), [[0, 5], "batch", 5]);
    assert.equal(await invoke("sum", "k1", 1), 2);
  });

  test("a second host on the same directory is refused, and the first goes on", async () => {
    const { api } = await start("twice");
    await assert.rejects(
      startHost(config, { logger: pino({ level: "silent" }), http: false }),
      (error: KeyfoldError) => error.code === "store-locked" && /in use by another process/.test(error.message),
    );
    assert.equal(await invoke("sum", "a", 1), 1);
    assert.deepEqual(api.unhealthy(), []);
  });

  test("where a port is taken, no task begins", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address() as AddressInfo;
    try {
      for (const http of [
        { port, internalPort: 0 },
        { port: 0, internalPort: port },
      ]) {
        const states: string[] = [];
        await assert.rejects(
          startHost(await project.config({ "state.dir": join(project.dir, "taken"), http }), {
            logger: pino({ level: "silent" }),
            onStateChange: (fn, next) => void states.push(`${fn} ${next}`),
          }),
          { code: "port-in-use" },
        );
        assert.deepEqual(states, []);
      }
    } finally {
      taken.close();
    }
  });

  test("task directories that nobody uses are removed after a while; those in use stay", async () => {
    const dir = join(project.dir, "abandoned");
    const old = join(dir, "app-sum", "0_7");
    await mkdir(join(old, "rocksdb"), { recursive: true });
    for (const path of [join(old, "rocksdb"), old]) await utimes(path, 1, 1);
    await start("abandoned", { "state.cleanup.delay.ms": 1_000 });
    assert.equal(await invoke("sum", "a", 1), 1);
    await until("it is removed", () => !existsSync(old));
    assert.ok(existsSync(join(dir, "app-sum", "0_0")));
    assert.equal(await invoke("sum", "a", 1), 2);
  });
});
