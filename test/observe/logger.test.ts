import assert from "node:assert/strict";
import { test } from "node:test";
import { KeyfoldError } from "../../runtime/errors.ts";
import { createLogger, functionLogger } from "../../runtime/observe/logger.ts";
import { prettyLine } from "../../runtime/observe/pretty.ts";

function capture(): { lines: string[]; to: { write: (line: string) => void } } {
  const lines: string[] = [];
  return { lines, to: { write: (line) => void lines.push(line) } };
}

test("JSON lines with level names, ISO times, children and errors in full", () => {
  const { lines, to } = capture();
  const logger = functionLogger(createLogger({ level: "debug", format: "json", to }), "cart", "0_1");
  logger.debug({ n: 1 }, "hello");
  logger.error({ err: new KeyfoldError("disk-full", "no space", { details: { dir: "/d" }, cause: new Error("ENOSPC") }) }, "commit failed");
  logger.trace("not at this level");
  assert.equal(lines.length, 2);
  const [hello, failed] = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.equal(hello?.["level"], "debug");
  assert.deepEqual([hello?.["function"], hello?.["task"], hello?.["n"], hello?.["msg"]], ["cart", "0_1", 1, "hello"]);
  assert.ok(!Number.isNaN(Date.parse(String(hello?.["time"]))));
  const error = failed?.["err"] as Record<string, unknown>;
  assert.equal(error["code"], "disk-full");
  assert.deepEqual(error["details"], { dir: "/d" });
  assert.equal((error["cause"] as { message: string }).message, "ENOSPC");
});

test("lines for people", () => {
  const { lines, to } = capture();
  const logger = createLogger({ format: "pretty", to });
  logger.info({ function: "cart", lag: 3, where: { partition: 1 } }, "function state");
  assert.match(lines[0] ?? "", /^\d\d:\d\d:\d\d\.\d{3} INFO {2}function state function=cart lag=3 where=\{"partition":1\}\n$/);
  logger.warn({ err: new KeyfoldError("timeout", "too slow") }, "slow");
  assert.match(lines[1] ?? "", /WARN {2}slow too slow\n {4}at /);
  assert.equal(prettyLine("not JSON", false), "not JSON");
  assert.ok(prettyLine('{"level":"error","time":"2026-11-21T12:00:00.000Z","msg":"x"}', true).includes("\x1b[31m"));
});

test("silent is silent; the environment's format is checked", () => {
  const { lines, to } = capture();
  createLogger({ level: "silent", format: "json", to }).fatal("x");
  assert.equal(lines.length, 0);
  process.env["KEYFOLD_LOG_FORMAT"] = "yaml";
  try {
    assert.throws(() => createLogger({ to }), { code: "config-invalid" });
    process.env["KEYFOLD_LOG_FORMAT"] = "json";
    createLogger({ to }).info("y");
    assert.ok(lines[0]?.startsWith("{"));
  } finally {
    delete process.env["KEYFOLD_LOG_FORMAT"];
  }
});
