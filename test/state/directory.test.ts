import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Worker } from "node:worker_threads";
import { KeyfoldError } from "../../runtime/errors.ts";
import { Checkpoint } from "../../runtime/state/checkpoint.ts";
import { StateDirectory } from "../../runtime/state/directory.ts";
import { ownIdentity } from "../../runtime/state/process-identity.ts";
import { TaskLock } from "../../runtime/state/task-lock.ts";
import { startChild } from "./fixtures/child.ts";
import { defer, tempDir } from "./temp-dir.ts";

const locked = (error: unknown): boolean => error instanceof KeyfoldError && error.code === "store-locked" && error.remedy === "retry";

describe("locks", () => {
  test("one holder at a time; free again once released", async (t) => {
    const directory = new StateDirectory(tempDir(t), "shop-cart");
    const lock = await directory.lock("0_1");
    await assert.rejects(directory.lock("0_1"), (error) => locked(error) && new RegExp(`process ${process.pid}`).test(String(error)));
    const other = await directory.lock("0_2");
    other.release();
    const waiting = directory.lock("0_1", { waitMs: 10_000 });
    lock.release();
    lock.release();
    const next = await waiting;
    assert.equal(directory.holder("0_1")?.pid, process.pid);
    next.release();
    assert.deepEqual(readdirSync(directory.taskDirectory("0_1")), []);
  });

  test("waiting can be called off", async (t) => {
    const directory = new StateDirectory(tempDir(t), "app");
    const lock = await directory.lock("0_0");
    defer(t, () => lock.release());
    const aborter = new AbortController();
    const waiting = directory.lock("0_0", { waitMs: 60_000, signal: aborter.signal });
    aborter.abort();
    await assert.rejects(waiting, { name: "AbortError" });
  });

  test("a living process keeps others out, a killed one leaves nothing stuck", async (t) => {
    const state = tempDir(t);
    const directory = new StateDirectory(state, "app");
    const holder = startChild("locker.ts", [state, "app"]);
    defer(t, () => holder.kill());
    await holder.lines.next();
    await assert.rejects(directory.lock("0_0"), (error) => locked(error) && new RegExp(`process ${holder.child.pid}`).test(String(error)));
    await holder.kill();
    assert.ok(existsSync(join(directory.taskDirectory("0_0"), ".lock")), "it was left behind");
    const lock = await directory.lock("0_0");
    lock.release();
  });

  test("a lock of a process whose number is in use by another now, of an earlier boot, or without sense is taken over", (t) => {
    const dir = tempDir(t);
    const self = ownIdentity();
    const write = (text: string, secondsAgo = 0): void => {
      writeFileSync(join(dir, ".lock"), text);
      const then = new Date(Date.now() - secondsAgo * 1_000);
      utimesSync(join(dir, ".lock"), then, then);
    };
    const take = (): boolean => {
      const lock = TaskLock.tryAcquire(dir);
      if (!(lock instanceof TaskLock)) return false;
      lock.release();
      return true;
    };
    const holder = { ...self, thread: 0, token: "t" };
    write(JSON.stringify(holder));
    assert.equal(take(), false, "ours, alive");
    if (self.started !== null) {
      write(JSON.stringify({ ...holder, started: "1" }));
      assert.equal(take(), true, "another process has the number now");
    }
    write(JSON.stringify({ ...holder, boot: "earlier" }));
    assert.equal(take(), true, "the machine was started anew");
    write(JSON.stringify({ ...holder, host: "elsewhere" }), 10);
    assert.equal(take(), false, "another host, heard of lately");
    write(JSON.stringify({ ...holder, host: "elsewhere" }), 120);
    assert.equal(take(), true, "another host, silent for long");
    write("", 0);
    assert.equal(take(), false, "somebody is just writing it");
    write("rubbish", 60);
    assert.equal(take(), true, "nobody is");
    // A contender that died while it was breaking a lock.
    write(JSON.stringify({ ...holder, boot: "earlier" }));
    writeFileSync(join(dir, ".lock.breaking"), "");
    assert.equal(take(), false);
    const then = new Date(Date.now() - 60_000);
    utimesSync(join(dir, ".lock.breaking"), then, then);
    take();
    assert.equal(take(), true);
  });

  test("two threads of one process are kept apart, and the locks of a terminated one can be freed", async (t) => {
    const state = tempDir(t);
    const directory = new StateDirectory(state, "app");
    const code = `
      import { workerData, parentPort } from "node:worker_threads";
      const { StateDirectory } = await import(workerData.module);
      await new StateDirectory(workerData.state, "app").lock("0_0");
      await new StateDirectory(workerData.state, "app").lock("1_0");
      parentPort.postMessage("locked");
      setInterval(() => undefined, 1_000);`;
    const module = new URL("../../runtime/state/directory.ts", import.meta.url).href;
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`), { workerData: { state, module } });
    const { threadId } = worker;
    await once(worker, "message");
    await assert.rejects(
      directory.lock("0_0"),
      (error) => locked(error) && new RegExp(`thread ${threadId} of process ${process.pid}`).test(String(error)),
    );
    await worker.terminate();
    const own = await directory.lock("2_0");
    assert.deepEqual(await directory.releaseThread(threadId), ["0_0", "1_0"]);
    (await directory.lock("0_0")).release();
    assert.equal(directory.holder("2_0")?.pid, process.pid);
    own.release();
  });
});

describe("checkpoints", () => {
  test("are written in Kafka Streams' format, and read again", async (t) => {
    const dir = tempDir(t);
    const checkpoint = new Checkpoint(dir);
    assert.deepEqual(await checkpoint.read(), []);
    await checkpoint.write([
      { topic: "shop-cart-carts-changelog", partition: 0, offset: 42 },
      { topic: "shop-cart-seen-changelog", partition: 0, offset: 7 },
    ]);
    assert.equal(readFileSync(join(dir, ".checkpoint"), "utf8"), "0\n2\nshop-cart-carts-changelog 0 42\nshop-cart-seen-changelog 0 7\n");
    assert.deepEqual(readdirSync(dir), [".checkpoint"]);
    assert.deepEqual(await new Checkpoint(dir).read(), [
      { topic: "shop-cart-carts-changelog", partition: 0, offset: 42 },
      { topic: "shop-cart-seen-changelog", partition: 0, offset: 7 },
    ]);
  });

  test("never go backwards, over any number of restarts", async (t) => {
    const dir = tempDir(t);
    let highest = 0;
    for (const offset of [5, 3, 9, 9, 1, 12, 0]) {
      await new Checkpoint(dir).write([{ topic: "a", partition: 1, offset }]);
      highest = Math.max(highest, offset);
      assert.deepEqual(await new Checkpoint(dir).read(), [{ topic: "a", partition: 1, offset: highest }]);
    }
  });

  test("kill -9 while it is written leaves a whole one: the last that was acknowledged, or one later", async (t) => {
    const dir = tempDir(t);
    for (const writes of [1, 20, 3, 45, 8, 30]) {
      const writer = startChild("checkpointer.ts", [dir]);
      let acknowledged = 0;
      for (let i = 0; i < writes; i++) acknowledged = Number((await writer.lines.next()).value);
      await writer.kill();
      const [a, b, ...rest] = await new Checkpoint(dir).read();
      assert.ok((a?.offset ?? 0) >= acknowledged, `${a?.offset} after ${acknowledged}`);
      assert.equal(b?.offset, a?.offset);
      assert.deepEqual(rest, []);
      const text = readFileSync(join(dir, ".checkpoint"), "utf8");
      assert.equal(text, `0\n2\na 0 ${a?.offset}\nb 0 ${a?.offset}\n`);
    }
  });

  test("one that is damaged is as good as none, and is written anew", async (t) => {
    const dir = tempDir(t);
    for (const text of ["", "1\n1\na 0 5\n", "0\n2\na 0 5\n", "0\n1\na b c\n", "\u0000\u0000"]) {
      writeFileSync(join(dir, ".checkpoint"), text);
      assert.deepEqual(await new Checkpoint(dir).read(), []);
    }
    await new Checkpoint(dir).write([{ topic: "a", partition: 0, offset: 1 }]);
    assert.equal(readFileSync(join(dir, ".checkpoint"), "utf8"), "0\n1\na 0 1\n");
  });
});

test("cleaning removes what nobody has used for long, and nothing else", async (t) => {
  const directory = new StateDirectory(tempDir(t), "app");
  const fill = (task: string): string => {
    const dir = directory.taskDirectory(task);
    mkdirSync(join(dir, "rocksdb", "counts"), { recursive: true });
    writeFileSync(join(dir, "rocksdb", "counts", "000001.log"), "x");
    return dir;
  };
  const [abandoned, used, fresh] = [fill("0_0"), fill("0_1"), fill("0_2")];
  mkdirSync(join(directory.path, "global"));
  const hour = 60 * 60 * 1000;
  const lock = await directory.lock("0_1");
  assert.deepEqual(await directory.clean({ delayMs: hour, now: Date.now }), []);
  const future = (): number => Date.now() + 2 * hour;
  const soon = new Date(future());
  utimesSync(join(fresh, "rocksdb", "counts", "000001.log"), soon, soon);
  assert.deepEqual(await directory.clean({ delayMs: hour, now: future }), [abandoned]);
  assert.deepEqual(readdirSync(directory.path).sort(), ["0_1", "0_2", "global"]);
  assert.ok(existsSync(used));
  lock.release();
  assert.deepEqual(await directory.tasks(), ["0_1", "0_2"]);
  assert.deepEqual(await new StateDirectory(tempDir(t), "none").clean({ delayMs: 0, now: Date.now }), []);
});
