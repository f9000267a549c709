import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm, statfs, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import type { KeyfoldError } from "../../runtime/errors.ts";
import { createProject, type RunningEngine, readTopic, startEngine } from "../fixtures/engine.ts";
import { until } from "../fixtures/until.ts";

const exec = promisify(execFile);

const SUM = `
import { defineFunction } from "keyfold";
export default defineFunction<{ n: number; pad: string }, { sum: number; pad: string }>({
  source: "events",
  sink: "sums",
  reduce(state = { sum: 0, pad: "" }, event, ctx) {
    ctx.emit("audit", event.n);
    return { sum: state.sum + event.n, pad: event.pad };
  },
});
`;

test("a disk that is full and then is not: what was acknowledged counts once, and the host goes on by itself", {
  timeout: 60_000,
}, async (t) => {
  const mount = await mkdtemp(join(tmpdir(), "keyfold-full-"));
  try {
    await exec("mount", ["-t", "tmpfs", "-o", "size=64m", "tmpfs", mount]);
  } catch (thrown) {
    await rm(mount, { recursive: true, force: true });
    console.error(
      `\n*** DISK FULL TEST SKIPPED: it mounts a small file system, which needs root (${thrown instanceof Error ? thrown.message.split("\n")[0] : thrown}) ***\n`,
    );
    t.skip("needs root to mount a small file system");
    return;
  }
  const project = await createProject({ sum: SUM });
  let run: RunningEngine | undefined;
  try {
    const config = await project.config({
      "state.dir": join(mount, "state"),
      "processing.guarantee": "exactly_once_v2",
      "commit.interval.ms": 10,
      "num.stream.threads": 1,
      defaultPartitions: 1,
    });
    run = await startEngine(config);
    const { api, log } = run;
    const acknowledged = new Map<number, string>();
    const unknown = new Set<number>();
    let n = 0;
    const append = async (bytes: number): Promise<boolean> => {
      n++;
      try {
        await api.append("events", [{ key: `k${n % 5}`, value: Buffer.from(JSON.stringify({ n, pad: "x".repeat(bytes) })) }]);
        acknowledged.set(n, `k${n % 5}`);
        return true;
      } catch (thrown) {
        assert.equal((thrown as KeyfoldError).code, "disk-full");
        unknown.add(n);
        return false;
      }
    };
    // Somebody else fills the disk while events come in, up to the last kilobyte.
    const ballast: string[] = [];
    const fill = async (): Promise<void> => {
      for (;;) {
        const { bavail, bsize } = await statfs(mount);
        if (bavail === 0) return;
        const file = join(mount, `ballast-${ballast.length}`);
        ballast.push(file);
        await writeFile(file, Buffer.alloc(Math.min(bavail * bsize, 8 << 20))).catch(() => {});
      }
    };
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 20; i++) assert.ok(await append(2_000));
      await fill();
      await until("an append is refused", async () => !(await append(20_000)));
      for (let i = 0; i < 5; i++) await append(20_000);
      assert.equal(
        (await api.topics()).some(({ name }) => name === "events"),
        true,
        "it still answers",
      );
      for (const file of ballast.splice(0)) await rm(file, { force: true });
      await until("appends are taken again", () => append(10));
    }
    assert.ok(unknown.size > 0);
    // A task's lag is as of its last fetch: only the log knows its end.
    const [range] = await log.offsets([{ topic: "events", partition: 0 }]);
    await until("everything is processed", async () =>
      (await api.tasks()).every(({ state, committed }) => state === "RUNNING" && committed["events[0]"] === range?.end),
    );
    assert.deepEqual(api.unhealthy(), []);
    const events = (await readTopic(log, "events")).map(({ value }) => (value as { n: number }).n);
    assert.equal(new Set(events).size, events.length, "no event came twice");
    for (const one of acknowledged.keys()) assert.ok(events.includes(one), `event ${one} was acknowledged`);
    const sums = new Map<string, number>();
    for (const one of events) sums.set(`k${one % 5}`, (sums.get(`k${one % 5}`) ?? 0) + one);
    const { items } = await api.list("sum", { limit: 100 });
    assert.deepEqual(
      new Map(items.map((item) => JSON.parse(item) as { key: string; value: { sum: number } }).map(({ key, value }) => [key, value.sum])),
      new Map([...sums].sort()),
    );
    const audit = (await readTopic(log, "audit")).map(({ value }) => value as number).sort((a, b) => a - b);
    assert.deepEqual(
      audit,
      [...events].sort((a, b) => a - b),
    );
  } finally {
    await run?.stop();
    await exec("umount", ["-l", mount]);
    await rm(mount, { recursive: true, force: true });
    await project.remove();
  }
});
