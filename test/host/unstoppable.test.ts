import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { createProject, type Project, type RunningEngine, startEngine } from "../fixtures/engine.ts";
import { until } from "../fixtures/until.ts";

// V8 looks for a string from the end by comparing it at every place, and does not look up while it does.
const FUNCTIONS = {
  quiet: `
import { defineFunction } from "keyfold";
export default defineFunction<{ n: number }, number>({ source: "quiet", reduce: (n = 0, event) => n + event.n });
`,
  searches: `
import { defineFunction } from "keyfold";
export default defineFunction<{ n: number }, number>({
  source: "searches",
  reduce: (_, { n }) => "a".repeat(2 * n).lastIndexOf("a".repeat(n) + "b"),
});
`,
};

let project: Project;
let run: RunningEngine;
before(async () => {
  project = await createProject(FUNCTIONS);
  run = await startEngine(
    await project.config({
      "state.dir": `${project.dir}/state`,
      "num.stream.threads": 1,
      defaultPartitions: 1,
      limits: { "reducer.timeout.ms": 200 },
    }),
  );
});
after(async () => {
  await run?.stop();
  await project?.remove();
});

const invoke = (fn: string, n: number): Promise<string> => run.api.invoke(fn, "k", Buffer.from(JSON.stringify({ n })), "committed");

/** A search that takes about so long on this machine, ms. */
function searchOf(ms: number): number {
  const n = 1 << 12;
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 8; i++) {
    const begun = performance.now();
    "a".repeat(2 * n).lastIndexOf(`${"a".repeat(n)}b`);
    best = Math.min(best, performance.now() - begun);
  }
  return Math.round(n * Math.sqrt(ms / best));
}

test("a thread in native code that cannot be ended: the host calls itself unwell for as long, and goes on when it ends", async () => {
  assert.equal((JSON.parse(await invoke("quiet", 1)) as { value: number }).value, 1);
  const refused = assert.rejects(invoke("searches", searchOf(5_500)), { code: "reducer-timeout" });
  const behind = invoke("quiet", 2);
  await until("it is said to be unwell", () => run.api.unhealthy().length > 0);
  assert.match(
    run.api.unhealthy().join(),
    /^worker 0 runs a reducer that cannot be interrupted, and its tasks stand still: restart the host$/,
  );
  assert.deepEqual(run.api.notReady(), ["worker 0 has not answered for some seconds, and its tasks (2) stand still"]);
  await refused;
  assert.equal((JSON.parse(await behind) as { value: number }).value, 3);
  assert.deepEqual(run.api.unhealthy(), []);
});
