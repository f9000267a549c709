import assert from "node:assert/strict";
import { test } from "node:test";
import { openEmbeddedLog } from "../../runtime/log/embedded/log.ts";
import type { Log } from "../../runtime/log/log.ts";
import type { TaskStore } from "../../runtime/state/store.ts";
import { restoreStore } from "../../runtime/task/restore.ts";
import { entries, open } from "../state/harness.ts";
import { defer, tempDir } from "../state/temp-dir.ts";

const topic = "changelog";

test("a restore ends at the end of the changelog, whether there is a record or not; what cannot be rolled forward is told", async (t) => {
  const log = await openEmbeddedLog({ dir: tempDir(t), flush: "os" });
  defer(t, () => log.close());
  await log.ensureTopic({ name: topic, partitions: 1 });
  const writer = await open<number>(tempDir(t));
  defer(t, () => writer.close());
  const write = async (key: string): Promise<void> => {
    writer.put(key, 1, 1);
    writer.flush();
    const { data, count } = writer.takeChangelog() as { data: Uint8Array; count: number };
    const [base = 0] = await log.append([{ topic, partition: 0, data, count }]);
    writer.committed(base + count);
  };
  const heard: string[] = [];
  const restore = (store: TaskStore, from: Log = log): Promise<string | undefined> =>
    restoreStore(store, {
      log: from,
      topic,
      partition: 0,
      signal: new AbortController().signal,
      listener: {
        onRestoreStart: (_store, _topic, from, to) => void heard.push(`${from} to ${to}`),
        onBatchRestored: () => {},
        onRestoreEnd: (_store, _topic, total) => void heard.push(`restored ${total}`),
      },
    });
  const store = async (keys: readonly string[], position: number | undefined): Promise<TaskStore<number>> => {
    const made = await open<number>(tempDir(t));
    defer(t, () => made.close());
    for (const key of keys) made.put(key, 1, 1);
    made.flush();
    made.takeChangelog();
    made.committed(position);
    return made;
  };
  await write("a");
  await write("b");
  await write("c");

  const empty = await store([], undefined);
  assert.equal(await restore(empty), undefined);
  assert.deepEqual(
    entries(empty).map(([key]) => key),
    ["a", "b", "c"],
  );
  assert.deepEqual(heard.splice(0), ["0 to 3", "restored 3"]);
  assert.equal(await restore(empty), undefined, "there is nothing to do");
  assert.deepEqual(heard.splice(0), ["3 to 3", "restored 0"]);
  assert.match((await restore(await store(["x"], 4))) ?? "", /position 4 is not in its changelog changelog, which goes from 0 to 3/);
  assert.match((await restore(await store(["x"], undefined))) ?? "", /rows, but no position/);
  assert.deepEqual(heard.splice(0), []);

  // Where the log ends there may be a marker, no record.
  const beyond: Log = {
    ...proxied(log),
    offsets: async () => [{ start: 0, end: 4 }],
    fetch: async (request) => {
      if (request.position === 3) return { data: new Uint8Array(0), next: 4, end: 4 };
      const fetched = await log.fetch(request);
      return { ...fetched, end: 4 };
    },
  };
  const marked = await store([], undefined);
  assert.equal(await restore(marked, beyond), undefined);
  assert.equal(marked.position()?.offset, 4);
  assert.deepEqual(heard.splice(0), ["0 to 4", "restored 3"]);

  // A store that lacks no more than a marker has everything, though the changelog has been cut behind it.
  await log.deleteRecords({ topic, partition: 0 }, 3);
  const quiet = await store(["kept"], 2);
  assert.equal(await restore(quiet), undefined);
  assert.deepEqual(
    entries(quiet).map(([key]) => key),
    ["kept"],
  );
  assert.deepEqual(heard.splice(0), ["3 to 3", "restored 0"]);
  assert.match((await restore(await store(["x"], 1))) ?? "", /position 1 is not in its changelog/);
  assert.match((await restore(await store(["x"], undefined))) ?? "", /rows, but no position/);
});

/** The log's methods, to be replaced one by one. */
function proxied(log: Log): Log {
  return {
    kind: log.kind,
    ensureTopic: (spec) => log.ensureTopic(spec),
    describe: (name) => log.describe(name),
    topics: () => log.topics(),
    deleteTopic: (name) => log.deleteTopic(name),
    offsets: (partitions) => log.offsets(partitions),
    fetch: (request) => log.fetch(request),
    append: (batches) => log.append(batches),
    commit: (request) => log.commit(request),
    committed: (group, partitions) => log.committed(group, partitions),
    deleteGroup: (group) => log.deleteGroup(group),
    close: () => log.close(),
  };
}
