import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { windowedKey } from "../../runtime/define/windowed-key.ts";
import { compareUtf8 } from "../../runtime/state/sorted-keys.ts";
import type { StoreLayout, TaskStore } from "../../runtime/state/store.ts";
import { readEntries } from "../../runtime/state/windowed/read.ts";
import { SessionStore } from "../../runtime/state/windowed/session-store.ts";
import { SlidingWindowStore } from "../../runtime/state/windowed/sliding-window-store.ts";
import { TimeWindowStore } from "../../runtime/state/windowed/time-window-store.ts";
import { orderedWindows } from "../../runtime/worker/window-order.ts";
import { printedSeed, Random } from "../fixtures/random.ts";
import { Changelog, commit, open } from "../state/harness.ts";
import { tempDir } from "../state/temp-dir.ts";

const LAYOUTS: readonly StoreLayout[] = [
  { kind: "time-windows", sizeMs: 10, advanceMs: 10, retentionMs: 400 },
  { kind: "time-windows", sizeMs: 25, advanceMs: 5, retentionMs: 90 },
  { kind: "sliding-windows", diffMs: 7, retentionMs: 100 },
  { kind: "sessions", retentionMs: 100 },
];
/** What sorts around the `@` and the `/` of a text, around the zero of a row, and where UTF-8 and UTF-16 differ. */
const LETTERS = ["a", "1", "@", "/", "\0", "\u0001", "0", "A", "~", "\ufffd", "😀"];

/** Puts a window into a store of any layout. */
function writer(store: TaskStore<unknown>, layout: StoreLayout): (key: string, start: number, length: number) => void {
  switch (layout.kind) {
    case "time-windows": {
      const windows = new TimeWindowStore(store, layout.sizeMs, layout.retentionMs);
      return (key, start) => windows.put(key, start - (start % layout.advanceMs), 1, start);
    }
    case "sliding-windows": {
      const windows = new SlidingWindowStore(store, layout.diffMs, layout.retentionMs);
      return (key, start) => windows.put(key, start, 1, start);
    }
    case "sessions": {
      const windows = new SessionStore(store, layout.retentionMs);
      return (key, start, length) => windows.put(key, start, start + length, 1, start);
    }
    default:
      throw new Error(layout.kind);
  }
}

function texts(store: TaskStore<unknown>): string[] {
  return Array.from(readEntries(store), ({ key, start = 0, end = 0 }) => windowedKey(key, start, end) as string).sort(compareUtf8);
}

describe("windows in the order of their texts", () => {
  const seed = printedSeed("window order");

  for (const [n, layout] of LAYOUTS.entries())
    test(`any keys, from anywhere, stored or not yet: ${layout.kind} ${n}`, async (t) => {
      const random = new Random(seed + n);
      const store = await open<unknown>(tempDir(t), { layout });
      t.after(() => store.close());
      const changelog = new Changelog();
      const put = writer(store, layout);
      const key = (): string => Array.from({ length: random.below(4) }, () => random.pick(LETTERS)).join("");
      const keys = Array.from({ length: 60 }, key);
      for (let i = 0; i < 1_500; i++) {
        put(random.pick(keys), random.below(300), random.below(4));
        if (i % 400 === 0) commit(store, changelog);
      }
      const all = texts(store);
      assert.ok(all.length > 100);
      const some = Array.from({ length: 60 }, () => random.pick(all));
      for (const from of ["", ...some, ...keys, ...Array.from({ length: 60 }, key)])
        assert.deepEqual(
          Array.from(orderedWindows(store, from) ?? [], ([text]) => text),
          all.filter((text) => compareUtf8(text, from) >= 0),
          JSON.stringify(from),
        );
    });

  for (const layout of [
    { kind: "time-windows", sizeMs: 1_000, advanceMs: 1_000, retentionMs: 100_000 },
    { kind: "sessions", retentionMs: 100_000 },
  ] satisfies StoreLayout[])
    test(`a page reads what it shows and little more: ${layout.kind}`, async (t) => {
      const store = await open<unknown>(tempDir(t), { layout, cached: false });
      t.after(() => store.close());
      const put = writer(store, layout);
      for (let start = 0; start < 10_000; start += 1_000) for (let i = 0; i < 1_000; i++) put(`user${1_000 + i}`, start, 5);
      commit(store, new Changelog());
      let read = 0;
      const range: TaskStore["range"] = function* (...bounds) {
        for (const row of store.range(...bounds)) {
          read++;
          yield row;
        }
      };
      const counting: TaskStore = { spec: store.spec, get: (key: string) => store.get(key), range } as Partial<TaskStore> as TaskStore;
      const all = texts(store);
      const page: string[] = [];
      for (const [text] of orderedWindows(counting, all[5_000]) ?? []) {
        page.push(text);
        if (page.length === 100) break;
      }
      assert.deepEqual(page, all.slice(5_000, 5_100));
      assert.ok(read < 400, `${read} rows were read for 100`);
    });
});
