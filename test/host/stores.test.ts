import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import type { ResolvedConfig } from "../../runtime/config/resolved.ts";
import { openEmbeddedLog } from "../../runtime/log/embedded/log.ts";
import { decodeBatches, keyText } from "../../runtime/log/record-batch.ts";
import { createProject, type Project, type RunningEngine, startEngine } from "../fixtures/engine.ts";
import { until } from "../fixtures/until.ts";

const sum = (store: string, imports = "", before = ""): string => `
import { defineFunction${imports} } from "keyfold";
${before}
export default defineFunction<{ n: number }, number>({ source: "events", ${store === "" ? "" : `store: ${store},`} reduce: (n = 0, event) => n + event.n });
`;

/** A user's own engine, as short as one can be: a sorted array, nothing kept on disk. */
const OWN = `
class Own {
  persistent = false;
  rows = new Map<string, Uint8Array>();
  async open() {}
  get(key: Uint8Array) { return this.rows.get(Buffer.from(key).toString("latin1")); }
  getMany(keys: readonly Uint8Array[]) { return keys.map((key) => this.get(key)); }
  *range(from?: Uint8Array, to?: Uint8Array, reverse = false): IterableIterator<readonly [Uint8Array, Uint8Array]> {
    const rows = [...this.rows].map(([key, value]) => [Buffer.from(key, "latin1"), value] as const).sort((a, b) => Buffer.compare(a[0], b[0]));
    if (reverse) rows.reverse();
    for (const row of rows) if ((!from || Buffer.compare(row[0], from) >= 0) && (!to || Buffer.compare(row[0], to) < 0)) yield row;
  }
  at: { offset: number; at: number } | undefined;
  write(writes: readonly { key: Uint8Array; value: Uint8Array | undefined }[], position: { offset: number; at: number } | undefined) {
    for (const { key, value } of writes) {
      if (value === undefined) this.rows.delete(Buffer.from(key).toString("latin1"));
      else this.rows.set(Buffer.from(key).toString("latin1"), Uint8Array.from(value));
    }
    this.at = position;
  }
  dropRange(from: Uint8Array, to: Uint8Array) { for (const [key] of [...this.range(from, to)]) this.rows.delete(Buffer.from(key).toString("latin1")); }
  position() { return this.at; }
  approximateEntries() { return this.rows.size; }
  async close() {}
}
`;

const FUNCTIONS = {
  plain: sum(""),
  inmemory: sum("memory()", ", memory"),
  newest: sum("lru({ maxEntries: 3 })", ", lru"),
  own: sum("{ engine: () => new Own() }", "", OWN),
  unlogged: sum("rocksdb({ logged: false })", ", rocksdb"),
};
const ALL = Object.keys(FUNCTIONS);

describe("stores of every kind", () => {
  let project: Project;
  let run: RunningEngine | undefined;
  let config: ResolvedConfig;
  before(async () => {
    project = await createProject(FUNCTIONS);
  });
  afterEach(async () => {
    await run?.stop();
    run = undefined;
  });
  after(() => project?.remove());

  const start = async (name: string, layer: Parameters<Project["config"]>[0] = {}): Promise<RunningEngine> => {
    config = await project.single(name, layer);
    run = await startEngine(config);
    return run;
  };
  /** Adds 1 to each key in turn, and waits until every function knows. */
  const feed = async (keys: readonly string[]): Promise<void> => {
    assert.ok(run);
    const last = (
      await run.api.append(
        "events",
        keys.map((key) => ({ key, value: Buffer.from('{"n":1}') })),
      )
    ).at(-1);
    assert.ok(last);
    for (const fn of ALL) await run.api.get(fn, keys.at(-1) ?? "", { atLeast: last });
  };
  const states = async (fn: string): Promise<Record<string, unknown>> => {
    assert.ok(run);
    const { items } = await run.api.list(fn, { limit: 1_000 });
    return Object.fromEntries(
      items.map((item) => JSON.parse(item) as { key: string; value: unknown }).map(({ key, value }) => [key, value]),
    );
  };
  const changelog = async (fn: string): Promise<string[]> => {
    assert.ok(run);
    const { log } = run;
    const topic = `app-${fn}-state-changelog`;
    const fetched = await log.fetch({ topic, partition: 0, position: 0, maxBytes: 1 << 20, maxWaitMs: 0 });
    const batch = decodeBatches(fetched.data, { from: 0 });
    return Array.from({ length: batch.length }, (_, i) => `${keyText(batch, i)}${(batch.valueStart[i] ?? -1) < 0 ? " gone" : ""}`);
  };

  test("they all count alike, and go on after a stop, a crash and a lost directory", async () => {
    await start("kinds");
    await feed(["a", "b", "a", "c", "a"]);
    const expected = { a: 3, b: 1, c: 1 };
    for (const fn of ALL) assert.deepEqual(await states(fn), expected, fn);
    await run?.stop();
    run = await startEngine(config);
    for (const fn of ALL) assert.deepEqual(await states(fn), expected, `${fn} after a stop`);
    await feed(["b"]);
    await until("all is committed", async () => (await run?.api.tasks())?.every(({ committed }) => Object.values(committed)[0] === 6));
    await run?.crash();
    run = await startEngine(config);
    for (const fn of ALL) assert.deepEqual(await states(fn), { a: 3, b: 2, c: 1 }, `${fn} after a crash`);
    await run.stop();
    for (const fn of ALL) await rm(join(config.engine["state.dir"], `app-${fn}`), { recursive: true, force: true });
    run = await startEngine(config);
    // Without a changelog what is lost is lost.
    for (const fn of ALL) assert.deepEqual(await states(fn), fn === "unlogged" ? {} : { a: 3, b: 2, c: 1 }, `${fn} from nothing`);
    assert.equal(await run.log.describe("app-unlogged-state-changelog"), undefined);
  });

  test("an lru store forgets the key that was used longest ago, and its changelog says so", async () => {
    await start("lru");
    for (const key of ["a", "b", "c", "a", "d"]) await feed([key]);
    assert.deepEqual(await states("newest"), { a: 2, c: 1, d: 1 });
    assert.equal((await states("plain"))["b"], 1);
    await until("the tombstone is in the changelog", async () => (await changelog("newest")).includes("b gone"));
    await run?.stop();
    await rm(join(config.engine["state.dir"], "app-newest"), { recursive: true, force: true });
    run = await startEngine(config);
    assert.deepEqual(await states("newest"), { a: 2, c: 1, d: 1 });
    await feed(["b"]);
    assert.equal((await states("newest"))["b"], 1);
    assert.equal(Object.keys(await states("newest")).length, 3);
  });

  for (const [cache, interval] of [
    [0, 0],
    [0, 1_000_000],
    [1 << 30, 0],
    [1 << 30, 1_000_000],
    [300, 1_000_000],
  ] as const) {
    test(`a cache of ${cache} bytes and a commit every ${interval} ms`, async () => {
      await start(`extreme-${cache}-${interval}`, { "cache.max.bytes.buffering": cache, "commit.interval.ms": interval });
      const keys = Array.from({ length: 300 }, (_, i) => `k${i % 40}`);
      await feed(keys);
      const expected = Object.fromEntries(keys.map((key) => [key, keys.filter((other) => other === key).length]));
      for (const fn of ALL)
        if (fn !== "newest")
          assert.deepEqual(await states(fn), Object.fromEntries(Object.entries(expected).sort(([a], [b]) => (a < b ? -1 : 1))), fn);
      await run?.stop();
      run = await startEngine(config);
      for (const fn of ALL)
        if (fn !== "newest")
          assert.deepEqual(
            await states(fn),
            Object.fromEntries(Object.entries(expected).sort(([a], [b]) => (a < b ? -1 : 1))),
            `${fn} after a stop`,
          );
    });
  }

  test("a quiet store whose changelog was cut behind its back is not wiped", async () => {
    await start("cut");
    await feed(["a", "b"]);
    await until("all is committed", async () => (await run?.api.tasks())?.every(({ committed }) => Object.values(committed)[0] === 2));
    await run?.crash();
    run = undefined;
    const cut = async (before: number): Promise<void> => {
      const log = await openEmbeddedLog({ dir: join(config.engine["state.dir"], "log"), flush: "os" });
      await log.deleteRecords({ topic: "app-plain-state-changelog", partition: 0 }, before);
      await log.close();
    };
    // Cut up to where the store is: it has it all, and keeps it.
    await cut(2);
    run = await startEngine(config);
    assert.deepEqual(await states("plain"), { a: 1, b: 1 });
    await feed(["a"]);
    assert.deepEqual(await states("plain"), { a: 2, b: 1 });
  });
});
