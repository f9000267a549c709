import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { pino } from "pino";
import { createProject, startEngine } from "../fixtures/engine.ts";
import { until } from "../fixtures/until.ts";

/** Untyped, as JavaScript is: the types name one order. */
const LOGS = `
import { defineFunction } from "keyfold";
const itself = { name: "itself" };
itself.itself = itself;
export default defineFunction({
  source: "events",
  reduce(n = 0, event, ctx) {
    const { log } = ctx;
    log.info("as documented", { n, at: new Date(0), map: new Map([["a", 1n]]) });
    log.warn({ n }, "as pino has it");
    log.error(new Error("thrown"), "an error first");
    log.error("an error last", new RangeError("out"));
    log.info("what threads cannot share", { fn: () => 1, symbol: Symbol("s") });
    log.info("what contains itself", itself);
    log.info("text behind text", "more");
    log.info({ n });
    log.info(undefined);
    log.debug("the last one");
    return n + 1;
  },
});
`;

test("whatever a function logs, in whichever order, is a line of the host's log, and no failure of the record", async () => {
  const project = await createProject({ logs: LOGS });
  const lines: Record<string, unknown>[] = [];
  const logger = pino(
    { level: "debug", base: null },
    { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) },
  );
  const run = await startEngine(await project.config({ "state.dir": join(project.dir, "state"), defaultPartitions: 1 }), { logger });
  try {
    const answer = JSON.parse(await run.api.invoke("logs", "k", Buffer.from("{}"), "committed")) as { value: unknown };
    assert.equal(answer.value, 1);
    await until("the last line", () => lines.some(({ msg }) => msg === "the last one"));
    const first = lines.findIndex(({ msg }) => msg === "as documented");
    const said = lines.slice(first, first + 10);
    for (const line of said) assert.deepEqual([line["function"], line["task"]], ["logs", "0_0"]);
    const fields = said.map(({ time: _time, level: _level, function: _function, task: _task, ...rest }) => rest);
    const failures = fields.map(({ err }) => err as { name: string; message: string; stack: string } | undefined);
    assert.match(failures[2]?.stack ?? "", /Error: thrown\n +at /);
    assert.deepEqual(
      fields.map(({ err: _err, ...rest }) => rest),
      [
        { msg: "as documented", n: 0, at: "1970-01-01T00:00:00.000Z", map: { a: "1" } },
        { msg: "as pino has it", n: 0 },
        { msg: "an error first" },
        { msg: "an error last" },
        { msg: "what threads cannot share", fn: "() => 1" },
        { msg: "what contains itself", value: "<ref *1> { name: 'itself', itself: [Circular *1] }" },
        { msg: "text behind text", value: "more" },
        { msg: "", n: 0 },
        { msg: "undefined" },
        { msg: "the last one" },
      ],
    );
    assert.deepEqual([failures[2]?.message, failures[3]?.name, failures[3]?.message], ["thrown", "RangeError", "out"]);
  } finally {
    await run.stop();
    await project.remove();
  }
});
