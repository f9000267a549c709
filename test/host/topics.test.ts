import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { createProject, startEngine } from "../fixtures/engine.ts";

/** Reads and writes topics of the user's whose names look like the engine's, and one that is. */
const ORDERS = `
import { defineFunction, stream } from "keyfold";
export default defineFunction({
  source: stream<{ id: string }>("app-orders-changelog").keyBy((order) => order.id),
  reduce: (n = 0) => n + 1,
  sink: "app-late-repartition",
});
`;
const COPY = `
import { stream } from "keyfold";
export default stream<number>("app-orders-state-changelog").to("copies");
`;

test("internal topics are those that functions own, and what functions that are gone have left; not any of such a name", async () => {
  const project = await createProject({ orders: ORDERS, tally: COPY });
  const config = await project.config({
    "state.dir": join(project.dir, "state"),
    topics: { "app-named-changelog": { partitions: 1 } },
    defaultPartitions: 1,
  });
  const { api, log, stop } = await startEngine(config);
  try {
    for (const name of ["app-named-changelog", "app-gone-state-changelog"]) await log.ensureTopic({ name, partitions: 1 });
    const internal = (await api.topics()).map((topic) => `${topic.name} ${topic.internal ? "internal" : ""}`.trim());
    const own = (await api.functions()).find(({ name }) => name === "orders")?.manifest.topology.subtopologies ?? [];
    const [repartition] = own.flatMap(({ repartitions }) => repartitions.map(({ topic }) => topic));
    const [store] = own.flatMap(({ stores }) => stores.map(({ name }) => name));
    assert.equal(store, "state");
    assert.deepEqual(
      internal.sort(),
      [
        "app-gone-state-changelog internal",
        "app-late-repartition",
        "app-named-changelog",
        "app-orders-changelog",
        "app-orders-state-changelog internal",
        "copies",
        `${repartition} internal`,
      ].sort(),
    );
    assert.equal(api.isInternal("app-never-seen-changelog"), true);
    assert.equal(api.isInternal("app-orders-changelog"), false);
  } finally {
    await stop();
    await project.remove();
  }
});
