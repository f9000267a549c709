import assert from "node:assert/strict";
import { cp, readdir, readFile, rename, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { KeyfoldError } from "../../runtime/errors.ts";
import { Database } from "../../runtime/log/embedded/database.ts";
import { offsetKey, partitionKey, topicKey } from "../../runtime/log/embedded/keys.ts";
import { openEmbeddedLog } from "../../runtime/log/embedded/log.ts";
import { outBatch, readAll, tempDir } from "./helpers.ts";

const APPENDS = 120;

/** The directory as a kill would leave it, with one write-ahead log of several blocks; the copy is made while the log is open. */
async function killedLog(t: TestContext): Promise<{ dir: string; wal: string; bytes: Buffer }> {
  const [live, dir] = [await tempDir(t), await tempDir(t)];
  const log = await openEmbeddedLog({ dir: live, flush: "os" });
  await log.ensureTopic({ name: "t", partitions: 1 });
  for (let n = 0; n < APPENDS; n++) await log.append([outBatch("t", 0, [[`${n}`, "x".repeat(n % 20 === 9 ? 70_000 : 500)]])]);
  await cp(live, dir, { recursive: true });
  await log.close();
  const wals = (await readdir(join(dir, "rocksdb"))).filter((name) => name.endsWith(".log"));
  assert.equal(wals.length, 1);
  const wal = join(dir, "rocksdb", wals[0] as string);
  return { dir, wal, bytes: await readFile(wal) };
}

interface Outcome {
  readonly end?: number;
  readonly notice?: string;
  readonly error?: KeyfoldError;
}

/** Opens a copy, because opening moves the write-ahead log into tables. */
async function tryOpening(
  t: TestContext,
  dir: string,
  harm: (dir: string) => Promise<void>,
  flush: "os" | "commit" = "os",
): Promise<Outcome> {
  // What is said of a file in there is not said of a lock.
  const copy = join(await tempDir(t), "clock");
  await cp(dir, copy, { recursive: true });
  await harm(copy);
  let notice: string | undefined;
  try {
    const log = await openEmbeddedLog({ dir: copy, flush, onNotice: (message) => (notice = message) });
    const rows = (await log.describe("t")) === undefined ? [] : await readAll(log, "t", 0);
    await log.close();
    assert.deepEqual(
      rows.map(({ key }) => key),
      rows.map((_, n) => `${n}`),
    );
    return { end: rows.length, ...(notice === undefined ? {} : { notice }) };
  } catch (error) {
    if (!(error instanceof KeyfoldError)) throw error;
    return { error };
  }
}

const changed = (bytes: Buffer, at: number): Buffer => {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] as number) ^ 0x41;
  return copy;
};

const zeroed = (bytes: Buffer, from: number, to: number): Buffer => Buffer.from(bytes).fill(0, from, to);

const walIn = (wal: string, dir: string): string => join(dir, "rocksdb", wal.slice(wal.lastIndexOf("/") + 1));

describe("the write-ahead log", () => {
  test("a byte changed anywhere but in the last write is refused, and says where; nothing is changed", async (t) => {
    const { dir, wal, bytes } = await killedLog(t);
    const lastWrite = 700;
    const [from, to, step] = [1, bytes.length - lastWrite, Math.floor(bytes.length / 40)];
    for (let at = from; at < to; at += step) {
      const { error } = await tryOpening(t, dir, (copy) => writeFile(walIn(wal, copy), changed(bytes, at)));
      assert.equal(error?.code, "log-corrupt", `byte ${at}`);
      const { offset, writes } = error.details as { offset: number; writes: number };
      assert.ok(offset <= at && at - offset < 75_000, `byte ${at} is in the write that begins at ${offset}`);
      assert.ok(writes > 0 && error.message.includes(`truncate -s ${offset} `), error.message);
    }
  });

  test("what the error says to do leaves all that was before the damage", async (t) => {
    const { dir, wal, bytes } = await killedLog(t);
    const at = bytes.length >> 1;
    const { error } = await tryOpening(t, dir, (copy) => writeFile(walIn(wal, copy), changed(bytes, at)));
    assert.ok(error !== undefined);
    const { offset, writes } = error.details as { offset: number; writes: number };
    const { end } = await tryOpening(t, dir, (copy) => truncate(walIn(wal, copy), offset));
    // The topic was one write more, and the damaged one is another.
    assert.equal((end ?? 0) + 1 + writes, APPENDS);
  });

  test("a file cut anywhere is a torn tail, whatever `flush`", async (t) => {
    const { dir, wal, bytes } = await killedLog(t);
    for (const flush of ["os", "commit"] as const) {
      for (let size = 0; size <= bytes.length; size += Math.floor(bytes.length / 15)) {
        const outcome = await tryOpening(t, dir, (copy) => truncate(walIn(wal, copy), size), flush);
        assert.equal(outcome.error, undefined, `cut to ${size} bytes`);
        assert.equal(outcome.notice, undefined);
      }
    }
  });

  test("pages that were never written are cut with what follows under `os`, and said; under `commit` that was acknowledged, and is refused", async (t) => {
    const { dir, wal, bytes } = await killedLog(t);
    const page = 4096 * 40;
    const harm = (copy: string) => writeFile(walIn(wal, copy), zeroed(bytes, page, page + 4096));
    const { end = 0, notice = "" } = await tryOpening(t, dir, harm, "os");
    assert.ok(end > 0 && end < APPENDS);
    assert.match(notice, /power cut.* were cut/);
    assert.equal((await tryOpening(t, dir, harm, "commit")).error?.code, "log-corrupt");
    // In the last write, and behind it: nothing else is lost.
    for (const from of [bytes.length - 400, bytes.length - (bytes.length % 4096)]) {
      const tail = await tryOpening(t, dir, (copy) => writeFile(walIn(wal, copy), zeroed(bytes, from, bytes.length)), "commit");
      assert.equal(tail.error, undefined);
    }
  });

  test("a byte changed in the last write cannot be told from a torn tail where the write is one fragment, and is refused where it is several", async (t) => {
    const { dir, wal, bytes } = await killedLog(t);
    const { end } = await tryOpening(t, dir, (copy) => writeFile(walIn(wal, copy), changed(bytes, bytes.length - 100)));
    assert.equal(end, APPENDS - 1);
    const large = bytes.subarray(0, bytes.lastIndexOf("x".repeat(20_000)) + 20_000);
    assert.ok(large.length > bytes.length / 2);
    const cutInside = await tryOpening(t, dir, (copy) => writeFile(walIn(wal, copy), large));
    assert.equal(cutInside.error, undefined);
    const outcome = await tryOpening(t, dir, (copy) => writeFile(walIn(wal, copy), changed(large, large.length - 60_000)));
    assert.equal(outcome.error?.code, "log-corrupt");
  });

  test("several files: what is behind damage in the first counts, a gap between them is never served", async (t) => {
    const [live, dir] = [await tempDir(t), await tempDir(t)];
    const log = await openEmbeddedLog({ dir: live, flush: "os" });
    await log.ensureTopic({ name: "t", partitions: 1 });
    const sizes: number[] = [];
    // More than one memtable, fewer than are merged in a flush.
    for (let n = 0; n < 60; n++) {
      await log.append([outBatch("t", 0, [[`${n}`, "x".repeat(100_000)]])]);
      const names = (await readdir(join(live, "rocksdb"))).filter((name) => name.endsWith(".log"));
      sizes.push(names.length);
    }
    await cp(live, dir, { recursive: true });
    await log.close();
    assert.equal(sizes.at(-1), 2, "there are two write-ahead logs");
    const [first = "", second = ""] = (await readdir(join(dir, "rocksdb"))).filter((name) => name.endsWith(".log")).sort();
    const inFirst = sizes.filter((count) => count === 1).length;
    assert.equal((await tryOpening(t, dir, async () => undefined, "commit")).end, 60);

    const bytes = await readFile(join(dir, "rocksdb", first));
    const damaged = await tryOpening(t, dir, (copy) => writeFile(join(copy, "rocksdb", first), changed(bytes, bytes.length - 50_000)));
    assert.equal(damaged.error?.code, "log-corrupt");
    assert.ok(damaged.error.message.includes(`move `) && damaged.error.message.includes(second), damaged.error.message);

    // Cut inside a write, and between two.
    const { offset } = damaged.error.details as { offset: number };
    for (const size of [bytes.length - 50_000, offset]) {
      const cut = (copy: string) => truncate(join(copy, "rocksdb", first), size);
      assert.equal((await tryOpening(t, dir, cut, "commit")).error?.code, "log-corrupt");
      const { end, notice = "" } = await tryOpening(t, dir, cut, "os");
      assert.ok(end !== undefined && end > 0 && end <= inFirst, `${end} of ${inFirst} in the first file are left`);
      assert.match(notice, /hole at byte \d+ of/);
    }
  });
});

describe("files that are gone", () => {
  const remove = (pattern: RegExp) => async (dir: string) => {
    for (const name of await readdir(join(dir, "rocksdb"))) if (pattern.test(name)) await rm(join(dir, "rocksdb", name));
  };
  const harms: Readonly<Record<string, { harm(dir: string): Promise<void>; says: RegExp }>> = {
    "the whole database": { harm: (dir) => rm(join(dir, "rocksdb"), { recursive: true }), says: /rocksdb is missing/ },
    "all its files": { harm: remove(/./), says: /CURRENT is missing/ },
    CURRENT: { harm: remove(/^CURRENT/), says: /CURRENT is missing/ },
    MANIFEST: { harm: remove(/^MANIFEST/), says: /MANIFEST-\d+ is missing/ },
    "a table": { harm: remove(/sst$/), says: /sst/ },
    "the write-ahead log": { harm: remove(/log$/), says: /write-ahead log .* is missing/ },
    "CURRENT and FORMAT": {
      harm: async (dir) => {
        await remove(/^CURRENT/)(dir);
        await rm(join(dir, "FORMAT"));
      },
      says: /CURRENT is missing/,
    },
    "a part of MANIFEST": {
      async harm(dir) {
        const name = (await readdir(join(dir, "rocksdb"))).find((file) => file.startsWith("MANIFEST")) ?? "";
        await truncate(join(dir, "rocksdb", name), 20);
      },
      says: /damaged/,
    },
  };
  for (const [what, { harm, says }] of Object.entries(harms)) {
    test(`${what}: refused as log-corrupt`, async (t) => {
      const dir = await tempDir(t);
      for (let round = 0; round < 2; round++) {
        const log = await openEmbeddedLog({ dir, flush: "os" });
        await log.ensureTopic({ name: "t", partitions: 1 });
        await log.append([outBatch("t", 0, [["a", "1"]])]);
        await log.close();
      }
      const { error } = await tryOpening(t, dir, harm);
      assert.equal(error?.code, "log-corrupt");
      assert.equal(error.remedy, "corrupt");
      assert.match(error.message, says);
    });
  }

  test("a first opening that was cut short at any point is begun again", async (t) => {
    const made = await tempDir(t);
    await (await openEmbeddedLog({ dir: made, flush: "os" })).close();
    const fresh: Readonly<Record<string, (dir: string) => Promise<void>>> = {
      "no directory of RocksDB": (dir) => rm(join(dir, "rocksdb"), { recursive: true }),
      "an empty one": remove(/./),
      "a MANIFEST and no CURRENT": remove(/^CURRENT|log$/),
      "a database and no FORMAT": async () => undefined,
    };
    for (const [what, harm] of Object.entries(fresh)) {
      const outcome = await tryOpening(t, made, async (dir) => {
        await rename(join(dir, "FORMAT"), join(dir, "FORMAT.new"));
        await harm(dir);
      });
      assert.deepEqual(outcome, { end: 0 }, what);
    }
  });
});

test("rows of the catalog that cannot be read are log-corrupt, and say which", async (t) => {
  const dir = await tempDir(t);
  const log = await openEmbeddedLog({ dir, flush: "os" });
  await log.ensureTopic({ name: "t", partitions: 1 });
  await log.commit({
    group: "g",
    producer: "p",
    atomic: true,
    batches: [outBatch("t", 0, [["a", "1"]])],
    offsets: [{ topic: "t", partition: 0, offset: 1 }],
  });
  await log.close();
  const rows: [Buffer, RegExp][] = [
    [topicKey("t"), /topic "t"/],
    [partitionKey(1, 0), /bounds of t-0/],
    [offsetKey("g", "t", 0), /offset of group "g" in t-0/],
  ];
  for (const [key, says] of rows) {
    for (const text of ["", "{", "null", '{"id":"x"}']) {
      const { error } = await tryOpening(t, dir, async (copy) => {
        const database = await Database.open(join(copy, "rocksdb"));
        database.write((writes) => writes.put(key, Buffer.from(text)));
        await database.close();
      });
      assert.equal(error?.code, "log-corrupt", `${says} ${text}`);
      assert.match(error.message, says);
    }
  }
});
