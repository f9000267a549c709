import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { RecordCache } from "../../runtime/state/record-cache.ts";
import { compareUtf8 } from "../../runtime/state/sorted-keys.ts";
import type { EngineSpec, TaskStore } from "../../runtime/state/store.ts";
import { Changelog, entries, open } from "./harness.ts";
import { MapEngine } from "./map-engine.ts";
import { seed } from "./seed.ts";

/** Surrogates, and units above them, sort differently as UTF-16 and as UTF-8. */
const KEYS = ["", "a", "aa", "ab", "b", "é", "\uffee", "\uffeea", "😀", "😀a", "z"];
type Row = [key: string, value: unknown, timestamp: number];

const key = fc.constantFrom(...KEYS);
const value = fc.oneof(
  fc.integer(),
  fc.string({ maxLength: 40 }),
  fc.record({ n: fc.nat(), tags: fc.array(fc.string({ maxLength: 5 }), { maxLength: 4 }) }, { noNullPrototype: true }),
);
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("put" as const), key, value, timestamp: fc.nat({ max: 1_000 }) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("delete" as const), key, timestamp: fc.nat({ max: 1_000 }) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("get" as const), key }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("range" as const),
      from: fc.option(key, { nil: undefined }),
      to: fc.option(key, { nil: undefined }),
      reverse: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("prefix" as const), prefix: key }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("get-all" as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("drop" as const), from: key, to: key }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("prefetch" as const), keys: fc.array(key, { maxLength: 6 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("flush" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("take" as const) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("commit" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("rollback" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("reopen" as const) }) },
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

/** A store, and the plain maps it must agree with. */
class Model {
  live = new Map<string, Row>();
  committed = new Map<string, Row>();
  /** What the flush listener was told last of each key. */
  downstream = new Map<string, unknown>();
  downstreamCommitted = new Map<string, unknown>();
  /** Changelog data taken, but not yet acknowledged. */
  taken: { data: Uint8Array; count: number }[] = [];
  readonly changelog = new Changelog();
  dropped = false;

  rows(from?: string, to?: string): Row[] {
    return [...this.live.values()]
      .filter(([k]) => (from === undefined || compareUtf8(k, from) >= 0) && (to === undefined || compareUtf8(k, to) < 0))
      .sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  }
}

async function run(dir: string, engine: () => EngineSpec, cacheBytes: number, steps: readonly Step[]): Promise<void> {
  const model = new Model();
  const opened = async (): Promise<TaskStore<unknown>> => {
    const store = await open(dir, { engine: engine() }, { cache: new RecordCache(cacheBytes) });
    store.onFlush((k, next, previous) => {
      assert.deepEqual(previous?.value, model.downstream.get(k), "the previous value is the one last flushed");
      if (next === undefined) model.downstream.delete(k);
      else model.downstream.set(k, next.value);
    });
    model.changelog.restore(store);
    return store;
  };
  const back = (): void => {
    model.live = new Map(model.committed);
    model.downstream = new Map(model.downstreamCommitted);
    model.taken = [];
  };
  let store = await opened();
  try {
    for (const s of steps) {
      switch (s.kind) {
        case "put":
          store.put(s.key, s.value, s.timestamp);
          model.live.set(s.key, [s.key, s.value, s.timestamp]);
          break;
        case "delete":
          store.delete(s.key, s.timestamp);
          model.live.delete(s.key);
          break;
        case "get": {
          const found = store.get(s.key);
          assert.deepEqual(found && [s.key, found.value, found.timestamp], model.live.get(s.key));
          break;
        }
        case "get-all":
          for (const k of KEYS) assert.deepEqual(store.get(k)?.value, model.live.get(k)?.[1]);
          break;
        case "range": {
          const expected = model.rows(s.from, s.to);
          if (s.reverse) expected.reverse();
          const iterator = store.range(s.from, s.to, { reverse: s.reverse });
          const rows = Array.from(iterator, ([k, { value: v, timestamp }]): Row => [k, v, timestamp]);
          assert.deepEqual(rows, expected);
          break;
        }
        case "prefix":
          assert.deepEqual(
            Array.from(store.prefix(s.prefix), ([k]) => k),
            model
              .rows()
              .map(([k]) => k)
              .filter((k) => k.startsWith(s.prefix)),
          );
          break;
        case "drop":
          store.dropRange(s.from, s.to);
          for (const [k] of model.rows(s.from, s.to)) {
            model.live.delete(k);
          }
          for (const k of [...model.downstream.keys()])
            if (compareUtf8(k, s.from) >= 0 && compareUtf8(k, s.to) < 0) model.downstream.delete(k);
          model.dropped = true;
          break;
        case "prefetch":
          store.prefetch(s.keys);
          break;
        case "flush":
          store.flush();
          assert.equal(store.dirty, false);
          break;
        case "take": {
          store.flush();
          const taken = store.takeChangelog();
          if (taken !== undefined) model.taken.push(taken);
          break;
        }
        case "commit": {
          commitAll(store, model);
          break;
        }
        case "rollback":
          store.rollback();
          back();
          break;
        case "reopen":
          await store.close();
          back();
          if (!(await reopensWithDrops(model, engine))) model.dropped = false;
          store = await opened();
          break;
      }
    }
    assert.deepEqual(entries(store), model.rows());
    commitAll(store, model);
    assert.deepEqual(entries(store), model.rows());
    assert.equal(store.position()?.offset ?? 0, model.changelog.end);
  } finally {
    await store.close();
  }
  if (!model.dropped) await restoresTheSame(model);
}

/** Also what was taken before, and not acknowledged yet. */
function commitAll(store: TaskStore<unknown>, model: Model): void {
  store.flush();
  const last = store.takeChangelog();
  if (last !== undefined) model.taken.push(last);
  let position: number | undefined;
  for (const { data, count } of model.taken) position = model.changelog.append(data, count);
  store.committed(position);
  model.taken = [];
  model.committed = new Map(model.live);
  model.downstreamCommitted = new Map(model.downstream);
}

/** Drops are not logged: an engine without memory of its own forgets them, and so must the model. */
async function reopensWithDrops(model: Model, engine: () => EngineSpec): Promise<boolean> {
  if (engine().kind === "rocksdb" || !model.dropped) return true;
  const dir = mkdtempSync(join(tmpdir(), "keyfold-model-"));
  const fresh = await open<unknown>(dir, { engine: { kind: "memory" } });
  model.changelog.restore(fresh);
  model.committed = new Map(entries(fresh).map((row) => [row[0], row]));
  model.live = new Map(model.committed);
  model.downstream = new Map(entries(fresh).map(([k, v]) => [k, v]));
  model.downstreamCommitted = new Map(model.downstream);
  await fresh.close();
  rmSync(dir, { recursive: true });
  return true;
}

async function restoresTheSame(model: Model): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), "keyfold-model-"));
  const fresh = await open<unknown>(dir, { engine: { kind: "memory" } });
  model.changelog.restore(fresh);
  assert.deepEqual(entries(fresh), model.rows());
  await fresh.close();
  rmSync(dir, { recursive: true });
}

const CACHES = [0, 300, 900, 5_000, 1_000_000];

for (const [name, engine, runs] of [
  ["rocksdb", (): EngineSpec => ({ kind: "rocksdb" }), 80],
  ["memory", (): EngineSpec => ({ kind: "memory" }), 250],
  ["custom", (): EngineSpec => ({ kind: "custom", create: () => new MapEngine() }), 150],
] as const) {
  test(`a ${name} store with all its layers agrees with a plain map, for any cache size`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...CACHES), fc.array(step, { maxLength: 40, size: "max" }), async (cacheBytes, steps) => {
        const dir = mkdtempSync(join(tmpdir(), "keyfold-model-"));
        try {
          await run(dir, engine, cacheBytes, steps);
        } finally {
          rmSync(dir, { recursive: true, force: true });
        }
      }),
      { numRuns: runs, seed: seed() },
    );
  });
}
