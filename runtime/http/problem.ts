import { randomUUID } from "node:crypto";
import { KeyfoldError } from "../errors.ts";
import { STATUS, statusOf } from "./status.ts";

export const PROBLEM_TYPE = "application/problem+json";
/** Seconds after which a client that was refused for now may come back. */
const RETRY_AFTER = "1";

/** An RFC 9457 problem document, ready to be sent. */
export interface Problem {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: string;
}

/** Told of errors that are our fault, with the reference the client was given. */
export type ReportInternal = (error: KeyfoldError, reference: string) => void;

export const ignore: ReportInternal = () => {};

/**
 * Any thrown thing as a problem document. What is not a KeyfoldError, or is an `internal` one, is reported in full to the
 * host's log and answered with a reference only: messages and stacks of bugs stay inside.
 */
export function problemOf(thrown: unknown, instance: string, report: ReportInternal, extra?: Readonly<Record<string, unknown>>): Problem {
  const error = KeyfoldError.from(thrown);
  const status = statusOf(error);
  const headers: Record<string, string> = { "content-type": PROBLEM_TYPE };
  if (status === 503) headers["retry-after"] = RETRY_AFTER;
  if (typeof error.details["allow"] === "string") headers["allow"] = error.details["allow"];
  const document: Record<string, unknown> = {
    type: `/errors#${error.code}`,
    title: STATUS[error.code][1],
    status,
    detail: error.message,
    instance,
    code: error.code,
  };
  if (error.code === "internal") {
    const reference = randomUUID();
    report(error, reference);
    document["detail"] = `the host met an unexpected error; its log has the details under reference ${reference}`;
    document["reference"] = reference;
  }
  const details = plain(error.details, error.code === "internal");
  if (details !== undefined) document["details"] = details;
  Object.assign(document, extra);
  return { status, headers, body: JSON.stringify(document) };
}

export function problemResponse(problem: Problem): Response {
  return new Response(problem.body, { status: problem.status, headers: problem.headers });
}

/** What a client must know even of an internal error: how far its request got. */
const PROGRESS = ["records", "positions"];

/** What of an error's details may be shown: everything JSON has a form for, but no stacks. */
function plain(details: Readonly<Record<string, unknown>>, internal: boolean): Record<string, unknown> | undefined {
  const shown: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(details)) {
    if (name === "stack" || name === "allow" || value === undefined || (internal && !PROGRESS.includes(name))) continue;
    try {
      const text = JSON.stringify(value);
      if (text !== undefined) shown[name] = value;
    } catch {
      shown[name] = String(value);
    }
  }
  return Object.keys(shown).length === 0 ? undefined : shown;
}
