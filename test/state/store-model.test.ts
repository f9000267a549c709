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

/** Of these the rows written last are complete, as a rule; those that are not ASCII they do not take. */
const ASCII = KEYS.filter((name) => /^[a-z]*$/.test(name));
const value = fc.oneof(
  fc.integer(),
  fc.string({ maxLength: 40 }),
  fc.record({ n: fc.nat(), tags: fc.array(fc.string({ maxLength: 5 }), { maxLength: 4 }) }, { noNullPrototype: true }),
);
const stepOf = (key: fc.Arbitrary<string>) =>
  fc.oneof(
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
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("prefetch" as const), keys: fc.uniqueArray(key, { maxLength: KEYS.length }) }) },
    // A turn of a task: reads ahead, changes, and is over.
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant("turn" as const),
        rows: fc.uniqueArray(fc.tuple(key, fc.option(value, { nil: undefined })), { selector: ([k]) => k, minLength: 2 }),
        timestamp: fc.nat({ max: 1_000 }),
      }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("flush" as const) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("take" as const) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("acknowledge" as const) }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant("commit" as const) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("rollback" as const) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("reopen" as const) }) },
  );
type Step = ReturnType<typeof stepOf> extends fc.Arbitrary<infer S> ? S : never;

/** A store, and the plain maps it must agree with. */
class Model {
  live = new Map<string, Row>();
  committed = new Map<string, Row>();
  /** What the flush listener was told last of each key. */
  downstream = new Map<string, unknown>();
  downstreamCommitted = new Map<string, unknown>();
  /** Changelog data taken, but not yet acknowledged. */
  taken: { data: Uint8Array; count: number }[] = [];
  /** As it was when that was taken. */
  whenTaken: { live: Map<string, Row>; downstream: Map<string, unknown> } | undefined;
  readonly changelog = new Changelog();
  dropped = false;

  rows(from?: string, to?: string): Row[] {
    return [...this.live.values()]
      .filter(([k]) => (from === undefined || compareUtf8(k, from) >= 0) && (to === undefined || compareUtf8(k, to) < 0))
      .sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  }
}

interface Setting {
  readonly cacheBytes: number;
  /** Of the store: decides on the row cache of a rocksdb one. */
  readonly memoryBytes: number;
  /** Somebody listens to flushes. Where nobody does, what a full cache does not take in is written through early. */
  readonly listens: boolean;
}

async function run(dir: string, engine: () => EngineSpec, setting: Setting, steps: readonly Step[]): Promise<void> {
  const { cacheBytes, memoryBytes, listens } = setting;
  const model = new Model();
  const opened = async (): Promise<TaskStore<unknown>> => {
    const store = await open(dir, { engine: engine() }, { cache: new RecordCache(cacheBytes), memoryBytes });
    if (listens)
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
    model.whenTaken = undefined;
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
        case "turn":
          store.prefetch(s.rows.map(([k]) => k));
          for (const [k, v] of s.rows) {
            assert.deepEqual(store.get(k)?.value, model.live.get(k)?.[1]);
            if (v === undefined) {
              store.delete(k, s.timestamp);
              model.live.delete(k);
            } else {
              store.put(k, v, s.timestamp);
              model.live.set(k, [k, v, s.timestamp]);
            }
          }
          store.prefetch([]);
          break;
        case "flush":
          store.flush();
          assert.equal(store.dirty, false);
          break;
        case "take": {
          store.flush();
          const taken = store.takeChangelog();
          if (taken !== undefined) model.taken.push(taken);
          model.whenTaken = { live: new Map(model.live), downstream: new Map(model.downstream) };
          break;
        }
        case "acknowledge": {
          if (model.whenTaken === undefined) break;
          // More may have been written since, and waits for the next commit.
          const { live, downstream } = model.whenTaken;
          acknowledge(store, model);
          model.committed = live;
          model.downstreamCommitted = downstream;
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
  acknowledge(store, model);
  model.committed = new Map(model.live);
  model.downstreamCommitted = new Map(model.downstream);
}

function acknowledge(store: TaskStore<unknown>, model: Model): void {
  let position: number | undefined;
  for (const { data, count } of model.taken) position = model.changelog.append(data, count);
  store.committed(position);
  model.taken = [];
  model.whenTaken = undefined;
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

const steps = fc.constantFrom(KEYS, ASCII).chain((keys) => fc.array(stepOf(fc.constantFrom(...keys)), { maxLength: 60, size: "max" }));

const setting = fc.record({
  cacheBytes: fc.constantFrom(0, 1, 300, 900, 5_000, 1_000_000),
  // Without a row cache, with the smallest there is, with one that holds all.
  memoryBytes: fc.constantFrom(64 * 1024, 700 * 1024, 2 * 1024 * 1024),
  listens: fc.boolean(),
});

for (const [name, engine, runs] of [
  ["rocksdb", (): EngineSpec => ({ kind: "rocksdb" }), 80],
  ["memory", (): EngineSpec => ({ kind: "memory" }), 250],
  ["custom", (): EngineSpec => ({ kind: "custom", create: () => new MapEngine() }), 150],
] as const) {
  test(`a ${name} store with all its layers agrees with a plain map, for any cache size`, async () => {
    await fc.assert(
      fc.asyncProperty(setting, steps, async (how, taken) => {
        const dir = mkdtempSync(join(tmpdir(), "keyfold-model-"));
        try {
          await run(dir, engine, how, taken);
        } finally {
          rmSync(dir, { recursive: true, force: true });
        }
      }),
      { numRuns: runs, seed: seed() },
    );
  });
}
