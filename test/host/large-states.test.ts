import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { EmbeddedExtras } from "../../runtime/log/embedded/log.ts";
import { partitionOf } from "../../runtime/log/partitioner.ts";
import { createProject, type Project, startEngine } from "../fixtures/engine.ts";
import { until } from "../fixtures/until.ts";

const LARGE = `
import { defineFunction } from "keyfold";
export default defineFunction<number, string>({ source: "sizes", reduce: (_state, size) => "x".repeat(size) });
`;
const BYTES = 900_000;
/** Of three partitions. The larger commits are by far more than a worker holds back without committing early, 16 MiB. */
const STATES = [6, 60, 60];

describe("states of a megabyte", () => {
  let project: Project;
  before(async () => {
    project = await createProject({ large: LARGE });
  });
  after(() => project?.remove());

  for (const guarantee of ["at_least_once", "exactly_once_v2"] as const) {
    test(`a worker goes on when the commit of one task is done and a larger one is on its way (${guarantee})`, async () => {
      const run = await startEngine(
        await project.config({
          "state.dir": join(project.dir, guarantee),
          "processing.guarantee": guarantee,
          "num.stream.threads": 1,
          defaultPartitions: STATES.length,
        }),
      );
      try {
        const all = Array.from({ length: 1000 }, (_, n) => `k${n}`);
        const keys = STATES.flatMap((count, partition) =>
          all.filter((key) => partitionOf(key, STATES.length) === partition).slice(0, count),
        );
        const value = Buffer.from(String(BYTES));
        await run.api.append(
          "sizes",
          keys.map((key) => ({ key, value })),
        );
        await until("all of them are committed", async () => {
          const committed = (await run.api.tasks()).flatMap((task) => Object.values(task.committed));
          return STATES.every((count) => committed.includes(count));
        });
        // Not all of a partition in one: what waits for a commit is in memory several times over.
        const { commits } = (run.log as unknown as EmbeddedExtras).metrics();
        assert.ok(commits > (keys.length * BYTES) / (16 * 1024 * 1024), `${commits} commits`);
        const { value: state } = JSON.parse((await run.api.get("large", keys[0] ?? "", {})) ?? "{}") as { value: string };
        assert.equal(state.length, BYTES);
      } finally {
        await run.stop();
      }
    });
  }
});
