import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createInternalApp } from "../../runtime/http/internal-app.ts";
import { createProject, type Project, type RunningEngine, startEngine } from "../fixtures/engine.ts";
import { until } from "../fixtures/until.ts";

// A timer that nobody waits for is no call of user code that the watchdog could know of.
const FUNCTIONS = {
  spins: `
import { defineFunction } from "keyfold";
export default defineFunction<{ n: number; file?: string }, number>({
  source: "spins",
  reduce(n = 0, event) {
    const { existsSync } = process.getBuiltinModule("node:fs");
    if (event.file !== undefined) setTimeout(() => { while (!existsSync(event.file)); }, 0);
    return n + event.n;
  },
});
`,
};

let project: Project;
let run: RunningEngine;
before(async () => {
  project = await createProject(FUNCTIONS);
  run = await startEngine(
    await project.config({ "state.dir": `${project.dir}/state`, "num.stream.threads": 2, defaultPartitions: 2, "commit.interval.ms": 10 }),
  );
});
after(async () => {
  await run?.stop();
  await project?.remove();
});

test("a worker that spins, nobody knows in what: not ready, its tasks are still told as they were last; ready when it answers again", async () => {
  const app = createInternalApp(run.api);
  const get = async (path: string): Promise<{ status: number; body: Record<string, unknown> }> => {
    const response = await app.hono.request(path);
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };
  const tasks = async (): Promise<{ task: string; worker: number; stale?: boolean; lag: number }[]> =>
    (await run.api.tasks()).map(({ task, worker, stale, lag }) => ({ task, worker, ...(stale === undefined ? {} : { stale }), lag }));
  const invoke = (event: unknown): Promise<string> => run.api.invoke("spins", "k", Buffer.from(JSON.stringify(event)), "committed");
  assert.equal((await get("/readyz")).status, 200);
  const before = await tasks();
  assert.deepEqual(before.map(({ task }) => task).sort(), ["0_0", "0_1"]);

  const file = join(project.dir, "enough");
  const [at] = await run.api.append("spins", [{ key: "k", value: Buffer.from(JSON.stringify({ n: 1, file })) }]);
  const hung = before.find(({ task }) => task === `0_${at?.partition}`)?.worker ?? assert.fail();
  const { body } = await until("it is not ready", async () => {
    const answer = await get("/readyz");
    return answer.status === 503 && answer;
  });
  assert.deepEqual(body["reasons"], [`worker ${hung} has not answered for some seconds, and its tasks (1) stand still`]);
  assert.deepEqual(
    (await tasks()).map(({ task, worker, stale }) => [task, worker, stale]).sort(),
    before.map(({ task, worker }) => [task, worker, worker === hung ? true : undefined]).sort(),
  );
  assert.equal((await get("/healthz")).status, 200);

  await writeFile(file, "");
  await until("it is ready", async () => (await get("/readyz")).status === 200);
  assert.deepEqual(
    (await tasks()).filter(({ stale }) => stale),
    [],
  );
  assert.equal((JSON.parse(await invoke({ n: 1 })) as { value: number }).value, 2);
});
