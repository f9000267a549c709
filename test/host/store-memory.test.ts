import assert from "node:assert/strict";
import { test } from "node:test";
import type { Manifest } from "../../runtime/bundle/manifest.ts";
import { expectedStores } from "../../runtime/host/placement.ts";
import { createProject, type RunningEngine, startEngine } from "../fixtures/engine.ts";

const MIB = 2 ** 20;

/** Its states are the shares of memory that the stores of its worker were opened with. */
const SHARES = `
import { defineFunction } from "keyfold";
const shares = new Set<number>();
class Own {
  persistent = false;
  rows = new Map<string, Uint8Array>();
  async open({ memoryBytes }: { memoryBytes: number }) { shares.add(memoryBytes); }
  get(key: Uint8Array) { return this.rows.get(String(key)); }
  getMany(keys: readonly Uint8Array[]) { return keys.map((key) => this.get(key)); }
  *range(): IterableIterator<readonly [Uint8Array, Uint8Array]> {}
  write(writes: readonly { key: Uint8Array; value: Uint8Array | undefined }[]) {
    for (const { key, value } of writes) if (value !== undefined) this.rows.set(String(key), value);
  }
  dropRange() {}
  position() { return undefined; }
  approximateEntries() { return this.rows.size; }
  async close() {}
}
export default defineFunction<number, number[]>({ source: "events", store: { engine: () => new Own() }, reduce: () => [...shares] });
`;

test("every store has the same share of the memory, and all shares together are all of it", async () => {
  const project = await createProject({ first: SHARES, second: SHARES, third: SHARES });
  let run: RunningEngine | undefined;
  try {
    run = await startEngine(
      await project.config({
        "state.dir": `${project.dir}/state`,
        "state.memory.bytes": 48 * MIB,
        "num.stream.threads": 2,
        defaultPartitions: 2,
      }),
    );
    const keys = Array.from({ length: 20 }, (_, i) => `key-${i}`);
    const positions = await run.api.append(
      "events",
      keys.map((key) => ({ key, value: Buffer.from("1") })),
    );
    assert.equal(new Set(positions.map(({ partition }) => partition)).size, 2, "both partitions, and so both workers, are asked");
    for (const name of ["first", "second", "third"]) {
      for (const [i, key] of keys.entries()) {
        const found = await run.api.get(name, key, { atLeast: positions[i] as (typeof positions)[number] });
        assert.deepEqual((JSON.parse(found ?? "{}") as { value: unknown }).value, [8 * MIB], `${name}, ${key}`);
      }
    }
  } finally {
    await run?.stop();
    await project.remove();
  }
});

test("a host of several counts the stores it has, and of functions that wait to be told their tasks the same part", () => {
  const counted = (name: string, stores: number, mine?: readonly string[], error?: Error) => ({
    manifest: {
      name,
      topology: { subtopologies: [{ id: 0, sources: [{ topic: name }], stores: Array.from({ length: stores }, () => ({})) }] },
    } as unknown as Manifest,
    error,
    assigned: mine !== undefined,
    has: (task: string) => mine?.includes(task) ?? false,
  });
  const partitions = new Map([
    ["a", 4],
    ["b", 8],
    ["c", 8],
  ]);
  assert.equal(expectedStores([], partitions), 0);
  assert.equal(expectedStores([counted("a", 1), counted("b", 2)], partitions), 20, "nobody has been told anything");
  assert.equal(
    expectedStores([counted("a", 1, ["0_1"]), counted("b", 2)], partitions),
    5,
    "a quarter of the first, so a quarter of the second",
  );
  assert.equal(expectedStores([counted("a", 1, ["0_1"]), counted("b", 2, ["0_0", "0_3"])], partitions), 5);
  assert.equal(expectedStores([counted("a", 1, []), counted("b", 2)], partitions), 0, "none of the first");
  assert.equal(expectedStores([counted("a", 1, ["0_1"]), counted("b", 2, undefined, new Error("failed"))], partitions), 1);
});
