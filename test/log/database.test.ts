import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Database } from "../../runtime/log/embedded/database.ts";

test("a write holds what its own fill put, whatever the writes before it were", async () => {
  const dir = await mkdtemp(join(tmpdir(), "keyfold-log-"));
  const database = await Database.open(dir);
  try {
    const [a, b, c, large] = ["a", "b", "c", "large"].map((key) => Buffer.from(key)) as [Buffer, Buffer, Buffer, Buffer];
    const rows = (): string[] =>
      database.scan({ gte: Buffer.from("a"), lt: Buffer.from("z") }).rows.map((row) => row.subarray(0, 5).toString());
    database.write((writes) => writes.put(a, Buffer.from("1")));
    // Were its writes still in the batch, the next write would bring this one back.
    database.write((writes) => writes.delete(a));
    assert.throws(() =>
      database.write((writes) => {
        writes.put(b, Buffer.from("never"));
        throw new Error("half way");
      }),
    );
    database.write((writes) => writes.put(c, Buffer.from("2")));
    assert.deepEqual(rows(), ["c", "2"]);
    database.write((writes) => writes.put(large, Buffer.alloc(5 * 1024 * 1024, "x")));
    database.write((writes) => writes.delete(c));
    assert.deepEqual(rows(), ["large", "xxxxx"]);
    await database.reopen();
    database.write((writes) => writes.put(c, Buffer.from("3")));
    assert.deepEqual(rows(), ["c", "3", "large", "xxxxx"]);
    await database.close();
    assert.throws(() => database.write((writes) => writes.put(c, Buffer.from("4"))), /is closed/);
    await database.close();
  } finally {
    await database.close();
    await rm(dir, { recursive: true, force: true });
  }
});
