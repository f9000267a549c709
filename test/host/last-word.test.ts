import assert from "node:assert/strict";
import { test } from "node:test";
import { LastWord, SILENT_MS } from "../../runtime/host/last-word.ts";
import type { WorkerStatus } from "../../runtime/worker/messages.ts";

const STATUS: WorkerStatus = {
  worker: 3,
  tasks: [],
  cache: { usedBytes: 0, dirtyBytes: 0, hits: 0, misses: 0 },
  heapBytes: 1,
  iterators: { open: 0, oldestMs: 0 },
};
const STEP = 500;

/** A worker that answers when told to, and its watchdog's looks. */
function worker() {
  const open: { resolve: (status: WorkerStatus) => void; reject: (error: Error) => void }[] = [];
  const word = new LastWord(() => new Promise((resolve, reject) => open.push({ resolve, reject })));
  let now = 1_000;
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  return {
    word,
    open,
    /** Looks at every step, for so long. */
    look: (ms: number, excused = false): void => {
      for (const end = now + ms; now < end; ) word.look((now += STEP), excused);
    },
    standStill: (ms: number): void => {
      now += ms;
    },
    answer: (status = STATUS): Promise<void> => {
      for (const { resolve } of open.splice(0)) resolve(status);
      return turn();
    },
    replaced: (): Promise<void> => {
      for (const { reject } of open.splice(0)) reject(new Error("replaced"));
      return turn();
    },
  };
}

test("a worker that does not answer is silent, asked once, until it answers; what it said last is known", async () => {
  const { word, open, look, answer } = worker();
  look(STEP);
  await answer();
  look(2_000);
  assert.equal(open.length, 1);
  look(SILENT_MS - STEP);
  assert.equal(word.silent, false);
  look(STEP);
  assert.equal(word.silent, true);
  look(60_000);
  assert.equal(open.length, 1, "one question is enough");
  assert.deepEqual(await word.status(), { ...STATUS, stale: true });
  assert.equal(open.length, 1, "it is not waited for");
  await answer({ ...STATUS, heapBytes: 2 });
  assert.equal(word.silent, false);
  const status = word.status();
  await answer({ ...STATUS, heapBytes: 3 });
  assert.deepEqual(await status, { ...STATUS, heapBytes: 3, stale: false });
});

test("a process that stood still, watchdog and all, and code of users have no silent worker to blame", () => {
  const { word, look, standStill } = worker();
  look(SILENT_MS);
  standStill(60_000);
  look(STEP);
  assert.equal(word.silent, false, "stopped for a minute");
  look(SILENT_MS - STEP);
  assert.equal(word.silent, false);
  look(SILENT_MS, true);
  assert.equal(word.silent, false, "in user code");
  look(SILENT_MS);
  assert.equal(word.silent, true);
});

test("a worker that is replaced has the whole time again", async () => {
  const { word, look, replaced } = worker();
  look(2 * SILENT_MS);
  assert.equal(word.silent, true);
  await replaced();
  assert.equal(word.silent, false);
  look(SILENT_MS);
  assert.equal(word.silent, false);
});
