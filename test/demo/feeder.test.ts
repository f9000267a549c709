import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { feed } from "../../runtime/demo/feeder.ts";
import { readFiles, type SourceFile } from "../../runtime/demo/files.ts";
import { KeyfoldError } from "../../runtime/errors.ts";
import { openEmbeddedLog } from "../../runtime/log/embedded/log.ts";
import type { Log } from "../../runtime/log/log.ts";
import { decodeBatches, keyText } from "../../runtime/log/record-batch.ts";

describe("the demo's feeder", () => {
  let dir: string;
  let log: Log;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), "keyfold-feeder-"));
    log = await openEmbeddedLog({ dir, flush: "os" });
    await log.ensureTopic({ name: "numbers", partitions: 3, config: { "retention.ms": "-1" } });
  });
  afterEach(async () => {
    await log.close();
    await rm(dir, { recursive: true, force: true });
  });

  test("goes on where it was stopped, over a reopened log, and appends nothing twice", async () => {
    const stop = new AbortController();
    const first = await feed(log, [numbers(100)], { batch: 7, signal: stop.signal, onProgress: ({ fed }) => fed >= 40 && stop.abort() });
    assert.deepEqual(first, { fed: 42, before: 0, total: 100 });
    await log.close();
    log = await openEmbeddedLog({ dir, flush: "os" });
    assert.deepEqual(await feed(log, [numbers(100)], { batch: 9 }), { fed: 100, before: 42, total: 100 });
    assert.deepEqual(await feed(log, [numbers(100)]), { fed: 100, before: 100, total: 100 });
    assert.deepEqual(
      (await keys()).sort((a, b) => a - b),
      Array.from({ length: 100 }, (_, i) => i),
    );
  });

  test("refuses a file that is not the one it had begun", async () => {
    await feed(log, [numbers(10)]);
    await assert.rejects(
      feed(log, [{ ...numbers(20), digest: "other" }]),
      (error) => error instanceof KeyfoldError && error.code === "bad-request" && /--state-dir/.test(error.message),
    );
    assert.equal((await keys()).length, 10);
  });

  test("says so when no function reads a file's topic", async () => {
    await assert.rejects(feed(log, [{ ...numbers(1), topic: "nobody" }]), /no topic nobody/);
  });

  test("the files: every airport and flight, event time from the flight's date", async () => {
    const [airports, flights] = await readFiles();
    assert.equal(airports?.records.length, 3376);
    assert.equal(flights?.records.length, 20_000);
    assert.equal(flights?.records[0]?.key, "DTW");
    assert.equal(flights?.records[0]?.timestamp, Date.UTC(2001, 0, 1, 0, 47));
    assert.deepEqual(airports?.records.find(({ key }) => key === "SFO")?.value, {
      name: "San Francisco International",
      city: "San Francisco",
      state: "CA",
      country: "USA",
      latitude: 37.61900194,
      longitude: -122.3748433,
    });
  });

  function numbers(count: number): SourceFile {
    return {
      name: "numbers.json",
      topic: "numbers",
      digest: "same",
      records: Array.from({ length: count }, (_, i) => ({ key: String(i), value: i, timestamp: i })),
    };
  }

  async function keys(): Promise<number[]> {
    const found: number[] = [];
    for (const partition of [0, 1, 2]) {
      const { data } = await log.fetch({ topic: "numbers", partition, position: 0, maxBytes: 1e6, maxWaitMs: 0 });
      const batch = decodeBatches(data);
      for (let i = 0; i < batch.length; i++) found.push(Number(keyText(batch, i)));
    }
    return found;
  }
});
