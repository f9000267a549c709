import assert from "node:assert/strict";
import { test } from "node:test";
import { RocksLevel } from "rocksdb";
import { MemoryEngine } from "../../runtime/state/engines/memory.ts";
import { RocksEngine } from "../../runtime/state/engines/rocksdb.ts";
import type { StorePosition, StoreWrite } from "../../runtime/state/store.ts";
import { engineContract } from "./engine-contract.ts";
import { Changelog, commit, open } from "./harness.ts";
import { MapEngine } from "./map-engine.ts";
import { tempDir } from "./temp-dir.ts";

engineContract("rocksdb", () => new RocksEngine());
engineContract("memory (also under lru)", () => new MemoryEngine());
engineContract("a user's own", () => new MapEngine());

test("a large RocksDB write has a batch of its own, which is let go of: a batch keeps the memory of its largest write", async (t) => {
  const batches = new Set<object>();
  const prototype = RocksLevel.prototype as unknown as Record<"attachResource" | "detachResource", (resource: object) => void>;
  const { attachResource, detachResource } = prototype;
  const dir = tempDir(t);
  const engine = new RocksEngine();
  prototype.attachResource = function (resource) {
    batches.add(resource);
    attachResource.call(this, resource);
  };
  prototype.detachResource = function (resource) {
    batches.delete(resource);
    detachResource.call(this, resource);
  };
  try {
    await engine.open({ dir, store: "s", task: "0_0", memoryBytes: 2 * 1024 * 1024 });
    const [kept] = batches;
    assert.equal(batches.size, 1);
    const written: unknown[] = [];
    const batch = kept as { _put(...args: unknown[]): void };
    const put = batch._put;
    batch._put = function (...args) {
      written.push(args[0]);
      put.apply(this, args);
    };
    engine.write([{ key: Buffer.from("small"), value: Buffer.from("1") }], { offset: 1, at: 0 });
    const small = written.length;
    assert.ok(small > 0);
    engine.write([{ key: Buffer.from("large"), value: Buffer.alloc(5 * 1024 * 1024) }], { offset: 2, at: 0 });
    assert.equal(written.length, small, "the kept batch is left alone");
    assert.deepEqual([...batches], [kept], "the other is closed");
    assert.equal(engine.get(Buffer.from("large"))?.length, 5 * 1024 * 1024);
    assert.deepEqual(engine.position(), { offset: 2, at: 0 });
  } finally {
    Object.assign(prototype, { attachResource, detachResource });
    await engine.close();
  }
});

test("a user's own engine may keep the keys and values it is handed", async (t) => {
  const kept: [given: Uint8Array, then: string][] = [];
  const keep = (bytes: Uint8Array): void => void kept.push([bytes, Buffer.from(bytes).toString("hex")]);
  class Keeping extends MapEngine {
    override getMany(keys: readonly Uint8Array[]): (Uint8Array | undefined)[] {
      keys.forEach(keep);
      return super.getMany(keys);
    }
    override write(writes: readonly StoreWrite[], position: StorePosition | undefined): void {
      for (const { key, value } of writes) {
        keep(key);
        if (value !== undefined) keep(value);
      }
      super.write(writes, position);
    }
  }
  for (const cached of [true, false]) {
    const store = await open<string>(tempDir(t), { cached, engine: { kind: "custom", create: () => new Keeping() } });
    for (const turn of ["a", "b", "c"]) {
      const keys = Array.from({ length: 20 }, (_, i) => `${turn}${i}`);
      store.prefetch(keys);
      for (const key of keys) store.put(key, key, 1);
      commit(store, new Changelog());
      store.prefetch([...keys].reverse());
    }
    await store.close();
  }
  assert.ok(kept.length > 200);
  for (const [given, then] of kept) assert.equal(Buffer.from(given).toString("hex"), then);
});
