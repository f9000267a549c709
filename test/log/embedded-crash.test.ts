import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, readdir, rm, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { KeyfoldError } from "../../runtime/errors.ts";
import { openEmbeddedLog } from "../../runtime/log/embedded/log.ts";
import type { Log } from "../../runtime/log/log.ts";
import { outBatch, readAll, tempDir } from "./helpers.ts";

const PRODUCERS = [0, 1, 2, 3];
const child = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/** Runs the child until it has acknowledged so many commits, then kills it. Returns the highest one acknowledged by producer. */
async function runAndKill(t: TestContext, dir: string, flush: string, commits: number): Promise<Map<number, number>> {
  const process = spawn(globalThis.process.execPath, [child("./crash-child.ts"), dir, flush], { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => process.kill("SIGKILL"));
  const acknowledged = new Map<number, number>();
  let seen = 0;
  for await (const line of createInterface({ input: process.stdout })) {
    if (line === "ready") continue;
    const [producer = -1, n = -1] = line.split(" ").map(Number);
    acknowledged.set(producer, n);
    if (++seen === commits) process.kill("SIGKILL");
  }
  await gone(process);
  return acknowledged;
}

async function gone(process: ChildProcess): Promise<void> {
  if (process.exitCode === null && process.signalCode === null) await once(process, "exit");
}

/** Whole commits only: for each producer both partitions, the compacted state and the offset tell of the same commits, each once, in order. Returns how many. */
async function checkWhole(log: Log): Promise<number[]> {
  const counts: number[] = [];
  for (const producer of PRODUCERS) {
    const [left, right] = [await readAll(log, "out", producer * 2), await readAll(log, "out", producer * 2 + 1)];
    const [commit] = await log.committed("group", [{ topic: "in", partition: producer }]);
    const count = commit?.offset ?? 0;
    assert.deepEqual(
      left.map(({ key }) => Number(key)),
      Array.from({ length: count }, (_, n) => n),
    );
    assert.deepEqual(
      right.map(({ key, value }) => [key, value]),
      left.map(({ key, value }) => [key, value]),
    );
    for (const { key, value } of left) assert.equal(value?.length, (Number(key) * 37) % 500);
    if (count > 0) assert.equal(commit?.metadata, `${count - 1}`);
    const state = new Map((await readAll(log, "state", producer)).map(({ key, value }) => [key, value]));
    for (let n = Math.max(0, count - 7); n < count; n++)
      assert.equal(
        state.get(`${n % 7}`) ?? null,
        n % 3 === 0 ? null : `${n}`,
        `state of producer ${producer} after ${count} commits, from commit ${n}`,
      );
    counts.push(count);
  }
  return counts;
}

for (const flush of ["os", "commit"] as const) {
  test(`kill -9 loses no acknowledged commit, repeats none and splits none (flush: ${flush})`, async (t) => {
    const dir = await tempDir(t);
    for (let round = 0; round < 4; round++) {
      const acknowledged = await runAndKill(t, dir, flush, 200 + round * 137);
      // A kill leaves no hole.
      const log = await openEmbeddedLog({ dir, flush, onNotice: (message) => assert.fail(message) });
      const counts = await checkWhole(log);
      for (const [producer, n] of acknowledged)
        assert.ok((counts[producer] ?? 0) > n, `commit ${n} of producer ${producer} was acknowledged, ${counts[producer]} are there`);
      if (round % 2 === 1) await log.cleanNow();
      await log.close();
    }
  });
}

test("while one process has the directory, another is told so", async (t) => {
  const dir = await tempDir(t);
  const process = spawn(globalThis.process.execPath, [child("./crash-child.ts"), dir, "os"], { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => process.kill("SIGKILL"));
  await once(process.stdout, "data");
  await assert.rejects(
    openEmbeddedLog({ dir, flush: "os" }),
    (error: KeyfoldError) => error.code === "store-locked" && error.message.includes("another process"),
  );
  process.kill("SIGKILL");
  process.stdout.resume();
  await gone(process);
  await (await openEmbeddedLog({ dir, flush: "os" })).close();
});

test("a log that another process writes, flushes and compacts meanwhile is in use, not damaged", async (t) => {
  const dir = await tempDir(t);
  const process = spawn(globalThis.process.execPath, [child("./busy-child.ts"), dir], { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => process.kill("SIGKILL"));
  await once(process.stdout, "data");
  const said = new Map<string, number>();
  for (let n = 0; n < 150; n++) {
    const onNotice = (message: string): void => assert.fail(message);
    const { code } = await openEmbeddedLog({ dir, flush: n % 2 === 0 ? "os" : "commit", onNotice }).then(
      () => assert.fail("it was opened"),
      (error: KeyfoldError) => error,
    );
    said.set(code, (said.get(code) ?? 0) + 1);
  }
  assert.deepEqual([...said], [["store-locked", 150]]);
  assert.equal(process.exitCode, null);
  process.kill("SIGKILL");
  await gone(process);
  await (await openEmbeddedLog({ dir, flush: "os", onNotice: (message) => assert.fail(message) })).close();
});

test("a write-ahead log cut anywhere opens with whole commits only, and goes on", async (t) => {
  const dir = await tempDir(t);
  await runAndKill(t, dir, "os", 300);
  const files = await readdir(join(dir, "rocksdb"));
  const wal = files.filter((name) => name.endsWith(".log")).sort((a, b) => Number.parseInt(b, 10) - Number.parseInt(a, 10))[0];
  assert.ok(wal !== undefined);
  const { size } = await stat(join(dir, "rocksdb", wal));
  const full = (await countsOf(dir)).reduce((sum, count) => sum + count, 0);
  let fewer = 0;
  for (const cut of [1, 2, 7, 33, 100, 333, 1000, 5000, 20_000]) {
    const copy = `${dir}-copy`;
    t.after(() => rm(copy, { recursive: true, force: true }));
    await rm(copy, { recursive: true, force: true });
    await cp(`${dir}-before`, copy, { recursive: true });
    await truncate(join(copy, "rocksdb", wal), size - cut);
    let log = await openEmbeddedLog({ dir: copy, flush: "os" });
    const counts = await checkWhole(log);
    const left = counts.reduce((sum, count) => sum + count, 0);
    // Up to four commits share a write, and so are lost together; each takes far more than 100 bytes.
    assert.ok(left < full && left >= full - 4 - cut / 100, `${left} of ${full} commits left after a cut of ${cut} bytes`);
    fewer = Math.max(fewer, full - left);
    const [base] = await log.append([outBatch("out", 0, [[`${counts[0]}`, "more"]])]);
    assert.equal(base, counts[0]);
    await log.close();
    log = await openEmbeddedLog({ dir: copy, flush: "os" });
    assert.equal((await readAll(log, "out", 0)).at(-1)?.value, "more");
    await log.close();
  }
  assert.ok(fewer > 5, "the deeper cuts did cut");

  /** Opens a copy, because opening moves the write-ahead log into tables. */
  async function countsOf(from: string): Promise<number[]> {
    const before = `${from}-before`;
    t.after(() => rm(before, { recursive: true, force: true }));
    await cp(from, before, { recursive: true });
    const log = await openEmbeddedLog({ dir: from, flush: "os" });
    const counts = await checkWhole(log);
    await log.close();
    return counts;
  }
});

test("where no file may grow further, nothing is acknowledged that is not there later", {
  skip: process.platform === "win32",
}, async (t) => {
  const dir = await tempDir(t);
  // The signal that comes with the limit is ignored, as it is on a full disk, where there is none.
  const script = `trap '' XFSZ; ulimit -f 4096; exec "$0" "$1" "$2"`;
  const { stdout } = await promisify(execFile)("sh", ["-c", script, process.execPath, child("./full-child.ts"), dir]);
  const { acknowledged, readable, code } = JSON.parse(stdout) as { acknowledged: number; readable: number; code: string };
  assert.equal(code, "disk-full");
  assert.ok(acknowledged > 20);
  assert.equal(readable, acknowledged, "reads go on");
  const log = await openEmbeddedLog({ dir, flush: "os" });
  const rows = await readAll(log, "t", 0);
  assert.ok(rows.length >= acknowledged);
  assert.deepEqual(
    rows.map(({ key }) => key),
    rows.map((_, i) => `${i}`),
  );
  await log.append([outBatch("t", 0, [["more", "1"]])]);
  await log.close();
});

test("a full disk refuses appends, serves reads, and takes appends again once there is room", async (t) => {
  const dir = await tempDir(t);
  const mount = join(dir, "small");
  await mkdir(mount);
  if (spawnSync("mount", ["-t", "tmpfs", "-o", "size=40m", "tmpfs", mount]).status !== 0)
    return t.skip("a small file system can only be mounted by root");
  try {
    await writeFile(join(mount, "ballast"), Buffer.alloc(16 * 1024 * 1024));
    const log = await openEmbeddedLog({ dir: join(mount, "log"), flush: "os" });
    await log.ensureTopic({ name: "t", partitions: 1 });
    let acknowledged = 0;
    const fill = async (): Promise<void> => {
      for (;;) {
        await log.append([outBatch("t", 0, [[`${acknowledged}`, "x".repeat(100_000)]])]);
        acknowledged++;
      }
    };
    await assert.rejects(fill(), (error: KeyfoldError) => error.code === "disk-full" && error.remedy === "retry");
    assert.ok(acknowledged > 10);
    assert.equal((await readAll(log, "t", 0)).length, acknowledged);
    // Opened again, the log may have found some room in what it could merge: not for long.
    await assert.rejects(fill(), (error: KeyfoldError) => error.code === "disk-full");
    assert.equal((await readAll(log, "t", 0)).length, acknowledged);
    await rm(join(mount, "ballast"));
    const [offset] = await log.append([outBatch("t", 0, [["more", "1"]])]);
    const rows = await readAll(log, "t", 0);
    assert.ok((offset ?? -1) >= acknowledged);
    assert.equal(rows.at(-1)?.key, "more");
    assert.deepEqual(
      rows.slice(0, acknowledged).map(({ key }) => key),
      Array.from({ length: acknowledged }, (_, i) => `${i}`),
    );
    await log.close();
    const again = await openEmbeddedLog({ dir: join(mount, "log"), flush: "os" });
    assert.equal((await readAll(again, "t", 0)).length, rows.length);
    await again.close();
  } finally {
    spawnSync("umount", [mount]);
  }
});
