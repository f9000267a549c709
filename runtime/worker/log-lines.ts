import { inspect } from "node:util";
import { jsonReplacer } from "../task/dead-letter.ts";
import type { TaskLogger } from "../topology/topology.ts";
import type { FromWorker } from "./messages.ts";

/** Makes a task's log of the host's: lines with the function's and the task's name. */
export function taskLogger(where: { readonly function: string; readonly task: string }, notify: (message: FromWorker) => void): TaskLogger {
  const log = (level: keyof TaskLogger) => (first: unknown, second?: unknown) => {
    const { message, fields } = logLine(first, second);
    notify({ kind: "notice", level, message, fields: { ...where, ...fields } });
  };
  return { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") };
}

/**
 * What a function asked to log: `(message, fields)`, or as pino has it `(fields, message)`. Code is bundled without a check of its
 * types, and a line of a log is no reason to fail a record: anything makes a line. The fields cross threads: they are plain data.
 */
function logLine(first: unknown, second: unknown): { message: string; fields: Record<string, unknown> } {
  if (typeof first !== "object" || first === null) return { message: String(first), fields: plain(second) };
  if (second !== undefined) return { message: String(second), fields: plain(first) };
  return { message: first instanceof Error ? first.message : "", fields: plain(first) };
}

function plain(given: unknown): Record<string, unknown> {
  if (given === undefined || given === null) return {};
  const fields = given instanceof Error ? { err: given } : typeof given === "object" && !Array.isArray(given) ? given : { value: given };
  try {
    return JSON.parse(JSON.stringify(fields, replacer)) as Record<string, unknown>;
  } catch {
    // It contains itself, or throws when looked at.
    return { value: inspect(fields) };
  }
}

/** As states are shown, and errors with what JSON leaves out of them. */
function replacer(name: string, value: unknown): unknown {
  if (value instanceof Error) return { ...value, name: value.name, message: value.message, stack: value.stack };
  return typeof value === "function" ? String(value) : jsonReplacer(name, value);
}
