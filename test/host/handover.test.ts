import assert from "node:assert/strict";
import { readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { readManifests } from "../../runtime/bundle/build-dir.ts";
import type { Position } from "../../runtime/host/api.ts";
import { createProject, type RunningEngine, readTopic, startEngine } from "../fixtures/engine.ts";
import { printedSeed } from "../fixtures/random.ts";

const CHAIN = `
import { defineFunction } from "keyfold";
export default defineFunction<{ n: number }, { chain: number; count: number }>({
  source: "events",
  reduce(state = { chain: 7, count: 0 }, event, ctx) {
    ctx.emit("audit", event.n);
    return { chain: (Math.imul(state.chain, 31) + event.n) | 0, count: state.count + 1 };
  },
});
`;

/** `revoke` and `assign` do not wait for what went before: a task is taken away and given again in the middle of its recovery. */
const steps = fc.constantFrom("feed", "feed", "feed", "revoke", "assign", "lose", "wipe and lose", "corrupt and lose", "settle");

test("tasks assigned, revoked, lost and damaged in any order: every event counts once, in order", { timeout: 120_000 }, async () => {
  const project = await createProject({ chain: CHAIN });
  const seed = printedSeed("handover");
  let number = 0;
  try {
    await fc.assert(
      fc.asyncProperty(fc.array(steps, { minLength: 4, maxLength: 14 }), async (sequence) => {
        const stateDir = join(project.dir, `state-${number++}`);
        const config = await project.config({
          "state.dir": stateDir,
          "processing.guarantee": "exactly_once_v2",
          "commit.interval.ms": 3,
          "num.stream.threads": 2,
          defaultPartitions: 3,
        });
        const [manifest] = readManifests(config.buildDir);
        assert.ok(manifest);
        let run: RunningEngine = await startEngine(config);
        const pending: Promise<unknown>[] = [];
        const last = new Map<number, { key: string; position: Position }>();
        let n = 0;
        const restart = async (between: () => Promise<void> = () => Promise.resolve()): Promise<void> => {
          await Promise.allSettled(pending.splice(0));
          await run.crash();
          await between();
          run = await startEngine(config);
        };
        try {
          for (const step of sequence) {
            switch (step) {
              case "feed": {
                const records = Array.from({ length: 40 }, () => ({ key: `k${n % 9}`, value: Buffer.from(JSON.stringify({ n: n++ })) }));
                const positions = await run.api.append("events", records);
                for (const [i, position] of positions.entries()) last.set(position.partition, { key: records[i]?.key ?? "", position });
                break;
              }
              case "revoke":
                pending.push(run.engine.remove("chain"));
                break;
              case "assign":
                pending.push(run.engine.swap(manifest));
                break;
              case "settle":
                await Promise.all(pending.splice(0));
                await run.engine.running();
                break;
              case "lose":
                await restart();
                break;
              case "wipe and lose":
                await restart(() => rm(join(stateDir, "app-chain"), { recursive: true, force: true }));
                break;
              case "corrupt and lose":
                await restart(async () => {
                  for (const task of await readdir(join(stateDir, "app-chain")).catch(() => [])) {
                    const store = join(stateDir, "app-chain", task, "rocksdb", "state");
                    for (const file of await readdir(store).catch(() => []))
                      if (file.startsWith("MANIFEST")) await writeFile(join(store, file), "nonsense");
                  }
                });
                break;
            }
          }
          await Promise.all(pending.splice(0));
          await run.engine.swap(manifest);
          await run.engine.running();
          for (const { key, position } of last.values()) await run.api.get("chain", key, { atLeast: position });
          const expected = new Map<string, { chain: number; count: number }>();
          for (let i = 0; i < n; i++) {
            const { chain, count } = expected.get(`k${i % 9}`) ?? { chain: 7, count: 0 };
            expected.set(`k${i % 9}`, { chain: (Math.imul(chain, 31) + i) | 0, count: count + 1 });
          }
          const { items } = await run.api.list("chain", { limit: 100 });
          assert.deepEqual(
            new Map(items.map((item) => JSON.parse(item) as { key: string; value: unknown }).map(({ key, value }) => [key, value])),
            new Map([...expected].sort(([a], [b]) => (a < b ? -1 : 1))),
          );
          assert.deepEqual(run.api.unhealthy(), []);
          await run.stop();
          run = await startEngine(config);
          const audit = n === 0 ? [] : (await readTopic(run.log, "audit")).map(({ value }) => value as number).sort((a, b) => a - b);
          assert.deepEqual(
            audit,
            Array.from({ length: n }, (_, i) => i),
          );
        } finally {
          await run.stop();
          await rm(stateDir, { recursive: true, force: true });
        }
      }),
      { numRuns: Number(process.env["KEYFOLD_RUNS"] ?? 5), seed, endOnFailure: true },
    );
  } finally {
    await project.remove();
  }
});
