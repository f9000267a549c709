import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import fc from "fast-check";
import type { StateStore, StoreWrite } from "../../runtime/state/store.ts";
import { seed } from "./seed.ts";
import { defer, tempDir } from "./temp-dir.ts";

const bytes = (text: string): Buffer => Buffer.from(text, "latin1");
const put = (key: string, value: string): StoreWrite => ({ key: bytes(key), value: bytes(value) });
const del = (key: string): StoreWrite => ({ key: bytes(key), value: undefined });
const show = (found: Uint8Array | undefined): string | undefined =>
  found === undefined ? undefined : Buffer.from(found).toString("latin1");
const rows = (entries: Iterable<readonly [Uint8Array, Uint8Array]>): string[] =>
  Array.from(entries, ([key, value]) => `${show(key)}=${show(value)}`);

/** What every engine does, ours and other people's. */
export function engineContract(name: string, create: () => StateStore): void {
  const opened = async (t: TestContext, dir = join(tempDir(t), "store")): Promise<StateStore> => {
    const engine = create();
    await engine.open({ dir, store: "contract", task: "0_0", memoryBytes: 4 * 1024 * 1024 });
    defer(t, () => engine.close());
    return engine;
  };

  describe(`engine contract: ${name}`, () => {
    test("reads what was written, one by one and many at once", async (t) => {
      const engine = await opened(t);
      engine.write([put("a", "1"), put("b", "2"), put("c", "")], { offset: 3, at: 10 });
      assert.equal(show(engine.get(bytes("a"))), "1");
      assert.equal(engine.get(bytes("aa")), undefined);
      assert.deepEqual(engine.getMany([bytes("a"), bytes("aa"), bytes("b"), bytes("c")]).map(show), ["1", undefined, "2", ""]);
      assert.deepEqual(engine.getMany([]), []);
      assert.deepEqual(engine.position(), { offset: 3, at: 10 });
    });

    test("overwrites and deletes, also what is not there", async (t) => {
      const engine = await opened(t);
      engine.write([put("a", "1"), put("b", "2")], undefined);
      engine.write([put("a", "3"), del("b"), del("z")], undefined);
      assert.deepEqual(rows(engine.range(undefined, undefined)), ["a=3"]);
    });

    test("is empty, without a position, at first", async (t) => {
      const engine = await opened(t);
      assert.equal(engine.position(), undefined);
      assert.deepEqual(rows(engine.range(undefined, undefined)), []);
      assert.equal(engine.approximateEntries(), 0);
    });

    test("takes the empty key and bytes of every value", async (t) => {
      const engine = await opened(t);
      const all = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte));
      engine.write([put("", "empty"), ...all.map((key) => put(key, key))], undefined);
      assert.equal(show(engine.get(bytes(""))), "empty");
      assert.deepEqual(engine.getMany([bytes(""), bytes("\u0000"), bytes("\u00ff")]).map(show), ["empty", "\u0000", "\u00ff"]);
      assert.deepEqual(
        Array.from(engine.range(undefined, undefined), ([key]) => show(key)),
        ["", ...all],
      );
      assert.deepEqual(
        Array.from(engine.range(bytes(""), bytes("\u0001")), ([key]) => show(key)),
        ["", "\u0000"],
      );
      assert.deepEqual(rows(engine.range(bytes("\u0005"), bytes(""))), []);
    });

    test("ranges are half open, in byte order, both ways", async (t) => {
      const engine = await opened(t);
      engine.write(
        ["a", "b", "ba", "c", "é"].map((key) => put(key, key)),
        undefined,
      );
      assert.deepEqual(rows(engine.range(bytes("b"), bytes("c"))), ["b=b", "ba=ba"]);
      assert.deepEqual(rows(engine.range(bytes("b"), bytes("c"), true)), ["ba=ba", "b=b"]);
      assert.deepEqual(rows(engine.range(bytes("bb"), undefined, true)), ["é=é", "c=c"]);
      assert.deepEqual(rows(engine.range(bytes("c"), bytes("b"))), []);
      assert.deepEqual(rows(engine.range(undefined, bytes("b"))), ["a=a"]);
    });

    test("an iterator shows the moment it was made", async (t) => {
      const engine = await opened(t);
      const keys = Array.from({ length: 2_000 }, (_, i) => `k${String(i).padStart(5, "0")}`);
      engine.write(
        keys.map((key) => put(key, "old")),
        undefined,
      );
      const iterator = engine.range(undefined, undefined);
      assert.equal(show(iterator.next().value?.[0]), "k00000");
      engine.write([...keys.slice(0, 1_500).map(del), put("k01800", "new"), put("z", "new")], undefined);
      const rest = rows(iterator);
      assert.equal(rest.length, 1_999);
      assert.ok(rest.every((row) => row.endsWith("=old")));
      assert.equal(rows(engine.range(undefined, undefined)).length, 501);
    });

    test("an iterator from before a change leaves nothing old to later ranges", async (t) => {
      const engine = await opened(t);
      engine.write(
        Array.from({ length: 100 }, (_, i) => put(`k${i}`, "old")),
        undefined,
      );
      const before = engine.range(bytes("k"), bytes("l"));
      before.next();
      engine.write([put("k5", "new")], undefined);
      before.return?.();
      assert.deepEqual(rows(engine.range(bytes("k5"), bytes("k50"))), ["k5=new"]);
      engine.dropRange(bytes("k5"), bytes("k50"));
      assert.deepEqual(rows(engine.range(bytes("k5"), bytes("k51"))), ["k50=old"]);
    });

    test("an iterator may be given up and is over then", async (t) => {
      const engine = await opened(t);
      engine.write(
        Array.from({ length: 1_000 }, (_, i) => put(`k${i}`, "v")),
        undefined,
      );
      for (const [key] of engine.range(undefined, undefined)) {
        assert.ok(key.length > 0);
        break;
      }
      const iterator = engine.range(undefined, undefined);
      iterator.next();
      // Only those that hold something need a return().
      if (iterator.return === undefined) return;
      iterator.return();
      assert.equal(iterator.next().done, true);
    });

    test("drops a range and nothing beside it", async (t) => {
      const engine = await opened(t);
      engine.write(
        ["a", "b", "c", "d"].map((key) => put(key, key)),
        { offset: 7, at: 1 },
      );
      engine.dropRange(bytes("b"), bytes("d"));
      engine.dropRange(bytes("z"), bytes("y"));
      assert.deepEqual(rows(engine.range(undefined, undefined)), ["a=a", "d=d"]);
      assert.equal(engine.get(bytes("b")), undefined);
      assert.deepEqual(engine.position(), { offset: 7, at: 1 });
      engine.write([put("b", "again")], undefined);
      assert.deepEqual(rows(engine.range(undefined, undefined)), ["a=a", "b=again", "d=d"]);
    });

    test("keeps no hold on the bytes it was given", async (t) => {
      const engine = await opened(t);
      const key = bytes("key");
      const value = bytes("value");
      engine.write([{ key, value }], undefined);
      key.fill(0);
      value.fill(0);
      assert.deepEqual(rows(engine.range(undefined, undefined)), ["key=value"]);
    });

    test("a position alone can be written, and a write without one keeps it", async (t) => {
      const engine = await opened(t);
      engine.write([], { offset: 5, at: 50 });
      engine.write([put("a", "1")], undefined);
      assert.deepEqual(engine.position(), { offset: 5, at: 50 });
    });

    test("closing twice is harmless, and a persistent engine finds everything again", async (t) => {
      const dir = join(tempDir(t), "store");
      const engine = await opened(t, dir);
      engine.write([put("a", "1"), put("b", "2")], { offset: 9, at: 90 });
      await engine.close();
      await engine.close();
      const again = await opened(t, dir);
      assert.deepEqual(rows(again.range(undefined, undefined)), engine.persistent ? ["a=1", "b=2"] : []);
      assert.deepEqual(again.position(), engine.persistent ? { offset: 9, at: 90 } : undefined);
    });

    test("agrees with a sorted map over random programs", async (t) => {
      const key = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)), maxLength: 3 });
      const step = fc.oneof(
        fc.record({
          kind: fc.constant("write" as const),
          entries: fc.dictionary(key, fc.option(key), { maxKeys: 8, size: "max", noNullPrototype: false }),
        }),
        fc.record({ kind: fc.constant("drop" as const), from: key, to: key }),
        fc.record({ kind: fc.constant("range" as const), from: fc.option(key), to: fc.option(key), reverse: fc.boolean() }),
      );
      const engine = await opened(t);
      const model = new Map<string, string>();
      fc.assert(
        fc.property(fc.array(step, { maxLength: 20, size: "max" }), (steps) => {
          for (const s of steps) {
            if (s.kind === "write") {
              const entries = Object.entries(s.entries).sort(([a], [b]) => (a < b ? -1 : 1));
              engine.write(
                entries.map(([k, v]) => (v === null ? del(k) : put(k, v))),
                undefined,
              );
              for (const [k, v] of entries) v === null ? model.delete(k) : model.set(k, v);
            } else if (s.kind === "drop") {
              engine.dropRange(bytes(s.from), bytes(s.to));
              for (const k of [...model.keys()]) if (k >= s.from && k < s.to) model.delete(k);
            } else {
              const { from, to } = s;
              const expected = [...model]
                .filter(([k]) => (from === null || k >= from) && (to === null || k < to))
                .sort(([a], [b]) => (a < b ? -1 : 1));
              if (s.reverse) expected.reverse();
              const found = rows(engine.range(from === null ? undefined : bytes(from), to === null ? undefined : bytes(to), s.reverse));
              assert.deepEqual(
                found,
                expected.map(([k, v]) => `${k}=${v}`),
              );
            }
          }
          for (const [k, v] of model) assert.equal(show(engine.get(bytes(k))), v);
        }),
        { numRuns: 60, seed: seed() },
      );
    });
  });
}
