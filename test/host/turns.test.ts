import assert from "node:assert/strict";
import { test } from "node:test";
import { createProject, type RunningEngine, startEngine } from "../fixtures/engine.ts";

const SLOW = `
import { defineFunction } from "keyfold";
export default defineFunction<number, number>({
  source: "events",
  reduce: (count = 0) => {
    for (const end = performance.now() + 5; performance.now() < end; );
    return count + 1;
  },
});
`;

test("while a slow reducer has much to do, its worker answers queries", async () => {
  const events = 300;
  const project = await createProject({ slow: SLOW });
  let run: RunningEngine | undefined;
  try {
    run = await startEngine(await project.single("state", { "commit.interval.ms": 60_000 }));
    await run.api.append(
      "events",
      Array.from({ length: events }, () => ({ key: "a", value: Buffer.from("1") })),
    );
    const seen: number[] = [];
    while (seen.at(-1) !== events) {
      const found = await run.api.get("slow", "a", {});
      seen.push(found === undefined ? 0 : (JSON.parse(found) as { value: number }).value);
    }
    assert.ok(new Set(seen).size > 5, `counts seen on the way: ${[...new Set(seen)].join(", ")}`);
  } finally {
    await run?.stop();
    await project.remove();
  }
});
