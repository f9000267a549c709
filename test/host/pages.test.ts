import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { cursorOf, keyOf, mergePages } from "../../runtime/host/pages.ts";
import { compareUtf8 } from "../../runtime/state/sorted-keys.ts";
import type { Page } from "../../runtime/worker/queries.ts";
import { createProject, startEngine } from "../fixtures/engine.ts";
import { until } from "../fixtures/until.ts";

const LARGE = `
import { Hono } from "hono";
import { defineFunction } from "keyfold";
export default defineFunction<number, string>({ source: "large-events", reduce: (_state, n) => "x".repeat(n) });
export const routes = new Hono<{ Bindings: { state: { list(options?: object): Promise<{ key: string }[]> } } }>()
  .get("/keys", async (c) => c.json((await c.env.state.list({ limit: 1000 })).map(({ key }) => key)));
`;

test("pages of large states end before they are too large to send, and miss nothing", async (t) => {
  const project = await createProject({ large: LARGE });
  const run = await startEngine(
    await project.config({ "state.dir": `${project.dir}/state`, "num.stream.threads": 2, defaultPartitions: 4 }),
  );
  t.after(async () => {
    await run.stop();
    await project.remove();
  });
  const keys = Array.from({ length: 30 }, (_, i) => `large-${i}`);
  const positions = await run.api.append(
    "large-events",
    keys.map((key) => ({ key, value: Buffer.from("500000") })),
  );
  for (const [i, key] of keys.entries())
    await until("it is there", () => run.api.get("large", key, { atLeast: positions[i] ?? { partition: 0, offset: 0 } }));
  const found: string[] = [];
  let pages = 0;
  for (let cursor: string | null | undefined; cursor !== null; pages++) {
    const page = await run.api.list("large", { limit: 10_000, ...(cursor === undefined ? {} : { cursor }) });
    const bytes = page.items.reduce((sum, item) => sum + item.length, 0);
    assert.ok(bytes < 12 << 20, `a page of ${bytes} bytes`);
    found.push(...page.items.map((item) => (JSON.parse(item) as { key: string }).key));
    cursor = page.cursor;
  }
  assert.deepEqual(found, keys.sort());
  assert.ok(pages > 1);
  const { body } = await run.api.route("large", { method: "GET", path: "/keys", headers: [], body: null });
  assert.deepEqual(JSON.parse(Buffer.from(body ?? []).toString()), keys, "routes see all they ask for");
});

test("partitions' pages, each cut off anywhere: going from cursor to cursor gives every key once, in order", () => {
  const key = fc.string({ unit: "binary", maxLength: 3 });
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.tuple(key, fc.nat(2)), { selector: ([k]) => k, maxLength: 30 }),
      fc.integer({ min: 1, max: 12 }),
      fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1 }),
      (entries, limit, cuts) => {
        const partitions = [0, 1, 2].map((p) =>
          entries
            .filter(([, partition]) => partition === p)
            .map(([k]) => k)
            .sort(compareUtf8),
        );
        let turn = 0;
        const page = (keys: string[], after: string | undefined): Page => {
          const left = keys.filter((k) => after === undefined || compareUtf8(k, after) > 0);
          const take = Math.min(limit, cuts[turn++ % cuts.length] ?? 1);
          return { items: left.slice(0, take).map((k) => [k, k]), more: left.length > take };
        };
        const found: string[] = [];
        for (let cursor: string | undefined, more = true; more; ) {
          const after = cursor === undefined ? undefined : keyOf(cursor);
          const merged = mergePages(
            partitions.map((keys) => page(keys, after)),
            limit,
          );
          assert.ok(merged.items.length <= limit);
          assert.ok(!merged.more || merged.items.length > 0);
          found.push(...merged.items);
          more = merged.more;
          cursor = cursorOf(merged.last ?? "");
        }
        assert.deepEqual(found, entries.map(([k]) => k).sort(compareUtf8));
      },
    ),
  );
});

test("a cursor is of its key, and never empty", () => {
  for (const key of ["", "a", "\u{1f600}", "a/b"]) {
    assert.notEqual(cursorOf(key), "");
    assert.equal(keyOf(cursorOf(key)), key);
  }
  for (const text of ["", "k!", "k_w", "kYQ==", "YQ"]) assert.throws(() => keyOf(text), { code: "bad-request" });
});
