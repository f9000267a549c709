import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { RocksLevel } from "rocksdb";
import { openEmbeddedLog } from "../../runtime/log/embedded/log.ts";
import { outBatch, readAll } from "./helpers.ts";

interface Attaching {
  attachResource(resource: object): void;
  detachResource(resource: object): void;
}

test("writes and reads leave nothing attached to the database: it would keep each of them for ever", async () => {
  const attached = new Set<object>();
  const prototype = RocksLevel.prototype as unknown as Attaching;
  const { attachResource, detachResource } = prototype;
  prototype.attachResource = function (resource) {
    attached.add(resource);
    attachResource.call(this, resource);
  };
  prototype.detachResource = function (resource) {
    attached.delete(resource);
    detachResource.call(this, resource);
  };
  const dir = await mkdtemp(join(tmpdir(), "keyfold-log-"));
  try {
    const log = await openEmbeddedLog({ dir, flush: "os" });
    await log.ensureTopic({ name: "t", partitions: 1 });
    await log.append([outBatch("t", 0, [["k0", "x"]])]);
    // One batch serves all writes.
    const afterOne = new Set(attached);
    for (let n = 1; n < 20; n++) await log.append([outBatch("t", 0, [[`k${n}`, "x"]])]);
    assert.equal((await readAll(log, "t", 0)).length, 20);
    assert.deepEqual(attached, afterOne);
    assert.ok(afterOne.size <= 1);
    await log.close();
    assert.equal(attached.size, 0);
  } finally {
    Object.assign(prototype, { attachResource, detachResource });
    await rm(dir, { recursive: true, force: true });
  }
});
