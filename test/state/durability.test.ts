import assert from "node:assert/strict";
import { once } from "node:events";
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Worker } from "node:worker_threads";
import { KeyfoldError } from "../../runtime/errors.ts";
import { BatchBuilder, decodeBatches } from "../../runtime/log/record-batch.ts";
import { type StoreNotice, setAside } from "../../runtime/state/open-engine.ts";
import { storeDirectory } from "../../runtime/state/open-store.ts";
import { startChild } from "./fixtures/child.ts";
import { Changelog, commit, entries, open } from "./harness.ts";
import { defer, tempDir } from "./temp-dir.ts";

const HOUR = 60 * 60 * 1000;

/** The changelog a killed writer left: whole frames only. */
function readChangelog(file: string): Changelog {
  const bytes = readFileSync(file);
  const changelog = new Changelog();
  for (let at = 0; at + 8 <= bytes.length; ) {
    const length = bytes.readUInt32BE(at);
    if (at + 8 + length > bytes.length) break;
    changelog.append(bytes.subarray(at + 8, at + 8 + length), bytes.readUInt32BE(at + 4));
    at += 8 + length;
  }
  return changelog;
}

describe("kill -9", () => {
  test("data and position are of one moment, the store rolls forward from there, and a quiet store keeps its own", async (t) => {
    const dir = tempDir(t);
    const logFile = join(tempDir(t), "changelog");
    let killedAt = 0;
    let clock = 0;
    for (const commits of [1, 12, 40]) {
      rmSync(dir, { recursive: true, force: true });
      rmSync(logFile, { force: true });
      const writer = startChild("writer.ts", [dir, logFile]);
      for (let i = 0; i < commits; i++) {
        const line = await writer.lines.next();
        ({ end: killedAt, clock } = JSON.parse(line.value as string) as { end: number; clock: number });
      }
      await writer.kill();

      const changelog = readChangelog(logFile);
      const whole = await open<unknown>(tempDir(t), { engine: { kind: "memory" } });
      const busy = await open<unknown>(dir, { name: "busy" }, { now: () => clock + 2 * HOUR });
      const position = busy.position()?.offset ?? 0;
      assert.ok(position >= killedAt, `position ${position}, acknowledged ${killedAt}`);
      assert.ok(position <= changelog.end);
      // Exactly what the changelog says up to the position, no more and no less.
      for (const batch of changelog.batches) if (batch.next <= position) whole.restore(decodeBatches(batch.data), batch.next);
      assert.deepEqual(entries(busy), entries(whole));
      changelog.restore(busy);
      changelog.restore(whole);
      assert.deepEqual(entries(busy), entries(whole));
      await busy.close();
      await whole.close();

      // The quiet store: its changelog has been truncated up to its end, there is nothing left to restore from.
      const notices: StoreNotice[] = [];
      const quiet = await open<number>(
        dir,
        { name: "quiet" },
        { now: () => clock + 23 * HOUR, onNotice: (notice) => notices.push(notice) },
      );
      assert.deepEqual(entries(quiet), [
        ["a", 1, 1],
        ["b", 2, 2],
      ]);
      assert.equal(quiet.position()?.offset, 2);
      assert.ok((quiet.position()?.at ?? 0) >= clock, "its position was refreshed while nothing was written");
      assert.deepEqual(notices, []);
      await quiet.close();
    }
  });

  test("a store open in another process is store-locked, to be tried again, and free once that process is dead", async (t) => {
    const state = tempDir(t);
    const holder = startChild("locker.ts", [state, "app"]);
    defer(t, () => holder.kill());
    await holder.lines.next();
    await assert.rejects(
      open(join(state, "app", "0_0")),
      (error) => error instanceof KeyfoldError && error.code === "store-locked" && error.remedy === "retry",
    );
    await holder.kill();
    const store = await open<number>(join(state, "app", "0_0"));
    defer(t, () => store.close());
    assert.equal(store.get("held"), undefined, "what was never committed is not there");
  });
});

describe("restart", () => {
  test("restored from the changelog or never gone: the same entries, for every way of logging them", async (t) => {
    const changelog = new Changelog();
    const live = await open<unknown>(tempDir(t), {}, {});
    for (let round = 0; round < 20; round++) {
      for (let i = 0; i < 100; i++) {
        const key = `k${(round * 13 + i * 7) % 150}`;
        if (i % 5 === 0) live.delete(key, round);
        else live.put(key, { round, i }, round);
      }
      commit(live, changelog);
    }
    const expected = entries(live);
    assert.ok(expected.length > 20);
    await live.close();
    for (const kind of ["rocksdb", "memory"] as const) {
      const dir = tempDir(t);
      const restored = await open<unknown>(dir, { engine: { kind } });
      assert.equal(changelog.restore(restored), 2_000);
      assert.deepEqual(entries(restored), expected);
      // A second time: nothing is applied twice, nothing changes.
      assert.equal(changelog.restore(restored), 0);
      await restored.close();
      const again = await open<unknown>(dir, { engine: { kind } });
      assert.equal(again.position()?.offset, kind === "rocksdb" ? changelog.end : undefined);
      await again.close();
    }
  });

  test("what the log has not acknowledged is not in the engine, whoever looks", async (t) => {
    const dir = tempDir(t);
    const changelog = new Changelog();
    const store = await open<number>(dir);
    store.put("a", 1, 1);
    commit(store, changelog);
    store.put("a", 2, 2);
    store.put("b", 2, 2);
    store.delete("a", 3);
    store.flush();
    assert.notEqual(store.takeChangelog(), undefined);
    assert.deepEqual(
      entries(store).map(([key]) => key),
      ["b"],
    );
    const copy = tempDir(t);
    cpSync(dir, copy, { recursive: true });
    store.rollback();
    assert.deepEqual(entries(store), [["a", 1, 1]]);
    await store.close();
    for (const at of [dir, copy]) {
      const again = await open<number>(at);
      assert.deepEqual(entries(again), [["a", 1, 1]]);
      assert.equal(again.position()?.offset, changelog.end);
      await again.close();
    }
  });

  test("a batch that begins below the position does not bring older values back", async (t) => {
    const changelog = new Changelog();
    const store = await open<number>(tempDir(t));
    defer(t, () => store.close());
    store.put("a", 1, 1);
    store.put("b", 1, 1);
    commit(store, changelog);
    store.put("a", 2, 2);
    commit(store, changelog);
    const [first] = changelog.batches;
    assert.ok(first);
    assert.equal(store.restore(decodeBatches(first.data), changelog.end), 0);
    assert.equal(store.get("a")?.value, 2);
  });

  test("the position of any number of restarts never goes backwards", async (t) => {
    const dir = tempDir(t);
    const changelog = new Changelog();
    let before = 0;
    for (let restart = 0; restart < 6; restart++) {
      const store = await open<number>(dir);
      assert.ok((store.position()?.offset ?? 0) >= before);
      store.put(`k${restart}`, restart, restart);
      if (restart % 2 === 0) commit(store, changelog);
      before = store.position()?.offset ?? 0;
      await store.close();
    }
    assert.equal(before, 3);
  });

  test("a store left alone for longer than tombstones live begins from nothing, and says so", async (t) => {
    const dir = tempDir(t);
    const changelog = new Changelog();
    const start = Date.now();
    const store = await open<number>(dir, {}, { now: () => start });
    store.put("a", 1, 1);
    commit(store, changelog);
    await store.close();
    const notices: StoreNotice[] = [];
    const onNotice = (notice: StoreNotice): void => void notices.push(notice);
    const inTime = await open<number>(dir, {}, { now: () => start + 24 * HOUR, onNotice });
    assert.equal(inTime.get("a")?.value, 1);
    await inTime.close();
    assert.equal(notices.length, 0);
    const late = await open<number>(dir, {}, { now: () => start + 24 * HOUR + 1, onNotice });
    assert.equal(late.get("a"), undefined);
    assert.equal(late.position(), undefined);
    await late.close();
    assert.match(notices[0]?.message ?? "", /delete\.retention\.ms .* restored from the beginning/);
  });

  test("a store that has all of its changelog is kept, however old it is, whatever the clock says", async (t) => {
    const dir = tempDir(t);
    const changelog = new Changelog();
    const start = Date.now();
    const store = await open<number>(dir, {}, { now: () => start });
    store.put("a", 1, 1);
    commit(store, changelog);
    await store.close();
    const now = (): number => start + 1_000 * HOUR;
    // One more offset may be the marker of a transaction.
    for (const end of [changelog.end, changelog.end + 1]) {
      const old = await open<number>(dir, {}, { now, changelogEnd: end });
      assert.equal(old.get("a")?.value, 1);
      await old.close();
    }
    const missed = await open<number>(dir, {}, { now, changelogEnd: changelog.end + 2 });
    assert.equal(missed.position(), undefined);
    changelog.restore(missed);
    await missed.close();
    const inThePast = await open<number>(dir, {}, { now: () => start, changelogEnd: changelog.end + 2 });
    assert.equal(inThePast.position(), undefined, "a position of the future says nothing of its age");
    await inThePast.close();
  });

  test("a clock that was set back is followed: the store's age is by the one that holds", async (t) => {
    const dir = tempDir(t);
    const changelog = new Changelog();
    let time = Date.now();
    const store = await open<number>(dir, {}, { now: () => time });
    store.put("a", 1, 1);
    commit(store, changelog);
    time -= 48 * HOUR;
    commit(store, changelog);
    const copy = tempDir(t);
    cpSync(dir, copy, { recursive: true });
    const crashed = await open<number>(copy, {}, { now: () => time });
    assert.equal(crashed.position()?.at, time);
    await crashed.close();
    await store.close();
  });

  test("without a changelog nothing is thrown away for its age", async (t) => {
    const dir = tempDir(t);
    const store = await open<number>(dir, { logged: false });
    store.put("a", 1, 1);
    store.flush();
    assert.equal(store.takeChangelog(), undefined);
    store.committed(undefined);
    await store.close();
    const late = await open<number>(dir, { logged: false }, { now: () => Date.now() + 1_000 * HOUR });
    assert.equal(late.get("a")?.value, 1);
    await late.close();
  });
});

test("a store is opened once at a time within a process too, and is free when the thread that had it is terminated", async (t) => {
  const dir = tempDir(t);
  const code = `
    import { workerData, parentPort } from "node:worker_threads";
    const { open, commit, Changelog } = await import(workerData.harness);
    const store = await open(workerData.dir);
    for (let i = 0; i < 5000; i++) store.put("k" + String(i).padStart(5, "0"), i, i);
    commit(store, new Changelog());
    for (const _ of store.range("k0", "k00002")) continue;
    const iterators = [store.range("k0"), store.range(), store.range("k0", undefined, { reverse: true })];
    for (const iterator of iterators) iterator.next();
    store.put("uncommitted", 1, 1);
    store.flush();
    parentPort.postMessage("open");
    for (;;) for (const _ of store.range("k1")) store.get("k00001");`;
  const harness = new URL("./harness.ts", import.meta.url).href;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`), { workerData: { dir, harness } });
  await once(worker, "message");
  await assert.rejects(open(dir), (error) => error instanceof KeyfoldError && error.code === "store-locked");
  await worker.terminate();
  const store = await open<number>(dir);
  defer(t, () => store.close());
  assert.equal(entries(store).length, 5_000);
  assert.equal(store.get("uncommitted"), undefined);
});

test("a store whose directory is deleted under it still closes, and can be opened anew", async (t) => {
  const dir = tempDir(t);
  for (const write of [false, true]) {
    const store = await open<number>(dir);
    store.put("a", 1, 1);
    rmSync(dir, { recursive: true });
    if (write) commit(store, new Changelog());
    await store.close();
    const again = await open<number>(dir);
    // What was committed into the directory as it went may have come too late to be deleted; nothing else may be there.
    const left = entries(again);
    assert.ok(left.length === 0 || (write && left.length === 1 && again.get("a")?.value === 1));
    await again.close();
  }
});

describe("damage", () => {
  async function damaged(t: Parameters<typeof tempDir>[0], harm: (dir: string) => void): Promise<{ notices: StoreNotice[]; dir: string }> {
    const dir = tempDir(t);
    const changelog = new Changelog();
    const store = await open<number>(dir);
    for (let i = 0; i < 100; i++) store.put(`k${i}`, i, i);
    commit(store, changelog);
    await store.close();
    // Opened again, so that the data is in a table file and not only in the write-ahead log.
    await (await open<number>(dir)).close();
    const at = storeDirectory(dir, "counts");
    harm(at);
    const notices: StoreNotice[] = [];
    const fresh = await open<number>(dir, {}, { onNotice: (notice) => notices.push(notice) });
    assert.equal(fresh.position(), undefined, "empty, without a position: to be restored");
    changelog.restore(fresh);
    assert.equal(entries(fresh).length, 100);
    await fresh.close();
    return { notices, dir: at };
  }
  const file = (dir: string, pattern: RegExp): string => join(dir, readdirSync(dir).find((name) => pattern.test(name)) ?? "missing");
  const harms: [name: string, harm: (dir: string) => void, reason: RegExp][] = [
    ["a missing CURRENT", (dir) => rmSync(join(dir, "CURRENT")), /CURRENT file is missing/],
    ["a missing MANIFEST", (dir) => rmSync(file(dir, /^MANIFEST/)), /MANIFEST-\d+ file, which CURRENT points to, is missing/],
    ["an unreadable CURRENT", (dir) => writeFileSync(join(dir, "CURRENT"), "rubbish"), /CURRENT/],
    ["a truncated MANIFEST", (dir) => truncateSync(file(dir, /^MANIFEST/), 20), /./],
    ["a missing table file", (dir) => rmSync(file(dir, /\.sst$/)), /\.sst/],
    ["a truncated table file", (dir) => truncateSync(file(dir, /\.sst$/), 100), /\.sst|Sst/],
    ["an unreadable FORMAT", (dir) => writeFileSync(join(dir, "FORMAT"), "\u0000\u0000"), /FORMAT file cannot be read/],
    ["a missing FORMAT", (dir) => rmSync(join(dir, "FORMAT")), /no FORMAT file/],
  ];
  for (const [name, harm, reason] of harms) {
    test(`${name}: set aside under another name, and a fresh store takes its place`, async (t) => {
      const { notices, dir } = await damaged(t, harm);
      assert.equal(notices.length, 1);
      const [notice] = notices;
      assert.equal(notice?.kind, "set-aside");
      assert.match(notice?.message ?? "", reason);
      assert.ok(existsSync(notice?.movedTo ?? ""), "it was renamed, not deleted");
      assert.match(notice?.movedTo ?? "", new RegExp(`^${dir}\\.corrupt-\\d{8}T\\d{9}Z$`));
    });
  }

  test("a write-ahead log changed or cut anywhere leaves an older store, whose position says how old, and that rolls forward", async (t) => {
    const [dir, killed] = [tempDir(t), tempDir(t)];
    const changelog = new Changelog();
    const store = await open<number>(dir);
    const states: (readonly [position: number, entries: ReturnType<typeof entries<number>>])[] = [[0, []]];
    for (let round = 0; round < 30; round++) {
      for (let i = 0; i < 60; i++) {
        if ((i + round) % 7 === 0) store.delete(`k${i}`, round);
        else store.put(`k${i}`, round * 1000 + i, round);
      }
      commit(store, changelog);
      states.push([changelog.end, entries(store)]);
    }
    cpSync(dir, killed, { recursive: true });
    await store.close();
    const whole = states.at(-1)?.[1];
    const older = new Map(states);
    const wal = file(storeDirectory(killed, "counts"), /\.log$/);
    const bytes = readFileSync(wal);
    const positions = new Set<number>();
    for (let n = 0; n < 40; n++) {
      const at = Math.floor((bytes.length * n) / 40);
      const copy = tempDir(t);
      cpSync(killed, copy, { recursive: true });
      const harmed = Buffer.from(bytes);
      harmed[at] = (harmed[at] as number) ^ 0x41;
      writeFileSync(file(storeDirectory(copy, "counts"), /\.log$/), n % 2 === 0 ? harmed : bytes.subarray(0, at));
      const left = await open<number>(copy);
      const position = left.position()?.offset ?? 0;
      positions.add(position);
      assert.deepEqual(entries(left), older.get(position), `position ${position} after harm at byte ${at}`);
      changelog.restore(left);
      assert.deepEqual(entries(left), whole);
      await left.close();
    }
    assert.ok(positions.size > 15, `${positions.size} different positions`);
  });

  test("a write-ahead log of which an earlier file ends too early, between two records, sets the store aside: its position would be ahead of its data", async (t) => {
    const [dir, killed] = [tempDir(t), tempDir(t)];
    const changelog = new Changelog();
    const store = await open<string>(dir);
    const at = storeDirectory(dir, "counts");
    const wals = (): string[] =>
      readdirSync(at)
        .filter((name) => /^\d+\.log$/.test(name))
        .sort();
    const sizes: number[] = [];
    for (let round = 0; wals().length < 2; round++) {
      for (let i = 0; i < 20; i++) store.put(`k${round}-${i}`, "v".repeat(100), round);
      commit(store, changelog);
      if (wals().length === 1) sizes.push(readFileSync(join(at, wals()[0] as string)).length);
    }
    store.put("last", "v", 1);
    commit(store, changelog);
    cpSync(dir, killed, { recursive: true });
    const whole = entries(store);
    const first = wals()[0] as string;
    await store.close();
    const notices: StoreNotice[] = [];
    const untouched = tempDir(t);
    cpSync(killed, untouched, { recursive: true });
    const same = await open<string>(untouched, {}, { onNotice: (notice) => notices.push(notice) });
    assert.deepEqual(entries(same), whole);
    assert.equal(notices.length, 0);
    await same.close();
    truncateSync(join(storeDirectory(killed, "counts"), first), sizes.at(-3));
    const left = await open<string>(killed, {}, { onNotice: (notice) => notices.push(notice) });
    assert.match(notices[0]?.message ?? "", /hole before \d+\.log/);
    changelog.restore(left);
    assert.deepEqual(entries(left), whole);
    await left.close();
  });

  test("a directory written by a newer keyfold is refused and left as it is", async (t) => {
    const dir = tempDir(t);
    const store = await open<number>(dir);
    await store.close();
    const format = join(storeDirectory(dir, "counts"), "FORMAT");
    writeFileSync(format, "format 9\noldest-reader 7\n");
    await assert.rejects(
      open(dir),
      (error) =>
        error instanceof KeyfoldError && error.code === "format-newer" && /needs format 7, this version reads up to 1/.test(error.message),
    );
    // One that was written by a newer keyfold, but says that this one may open it.
    writeFileSync(format, "format 9\noldest-reader 1\n");
    await (await open(dir)).close();
    assert.equal(readFileSync(format, "utf8"), "format 9\noldest-reader 1\n");
  });

  test("two set aside in the same millisecond get names of their own", async (t) => {
    const dir = tempDir(t);
    const at = storeDirectory(dir, "counts");
    const names: string[] = [];
    for (let i = 0; i < 3; i++) {
      await (await open(dir)).close();
      names.push(await setAside({ dir: at, store: "counts", task: "0_0" }, "a test", { now: () => 0, onNotice: () => undefined }));
    }
    assert.equal(new Set(names).size, 3);
  });

  test("a value of another layout is noticed by the get that needs it, and by nothing else", async (t) => {
    const dir = tempDir(t);
    const changelog = new Changelog();
    const builder = new BatchBuilder();
    builder.append("bad", Buffer.from('{"a":1}'), 1);
    changelog.append(builder.finish(), 1);
    const store = await open<number>(dir);
    defer(t, () => store.close());
    changelog.restore(store);
    store.put("good", 1, 1);
    commit(store, changelog);
    store.prefetch(["good", "bad"]);
    assert.equal(store.get("good")?.value, 1);
    assert.throws(
      () => store.get("bad"),
      (error) =>
        error instanceof KeyfoldError && error.code === "state-unreadable" && /key "bad" in store "counts" of task 0_0/.test(error.message),
    );
    store.put("bad", 2, 2);
    commit(store, changelog);
    assert.equal(store.get("bad")?.value, 2);
  });
});
