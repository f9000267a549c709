import { KeyfoldError } from "../errors.ts";
import type { Position } from "../host/api.ts";
import { suggestion } from "./nearest.ts";

const NONE: ReadonlyMap<string, string> = new Map();

/** A query string's parameters; unknown, repeated and badly encoded ones are errors. */
export function parseQuery(raw: string, valid: readonly string[]): ReadonlyMap<string, string> {
  if (raw === "") return NONE;
  const found = new Map<string, string>();
  for (const part of raw.split("&")) {
    if (part === "") continue;
    const equals = part.indexOf("=");
    const name = decode(equals === -1 ? part : part.slice(0, equals));
    const value = equals === -1 ? "" : decode(part.slice(equals + 1));
    if (!valid.includes(name)) {
      throw new KeyfoldError(
        "bad-request",
        `unknown query parameter \`${name.slice(0, 64)}\`${valid.length === 0 ? "; none is known here" : suggestion(name, valid)}`,
      );
    }
    if (found.has(name)) throw new KeyfoldError("bad-request", `query parameter \`${name}\` is given twice`);
    found.set(name, value);
  }
  return found;
}

function decode(text: string): string {
  if (!/[%+]/.test(text)) return text;
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    throw new KeyfoldError("bad-request", `the query string is not percent-encoded UTF-8: ${JSON.stringify(text.slice(0, 100))}`);
  }
}

export type Query = ReadonlyMap<string, string>;

/** A whole number from 0 to the largest exact one. */
export function integer(
  query: Query,
  name: string,
  least = 0,
  most: number = Number.MAX_SAFE_INTEGER,
  setting?: string,
): number | undefined {
  const text = query.get(name);
  if (text === undefined) return undefined;
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  const range = most === Number.MAX_SAFE_INTEGER ? `from ${least} on` : `from ${least} to ${most}`;
  throw new KeyfoldError(
    "bad-request",
    `query parameter \`${name}\` is ${JSON.stringify(text.slice(0, 64))}; it takes a whole number ${range}${setting === undefined ? "" : ` (setting limits["${setting}"])`}`,
  );
}

export function oneOf<T extends string>(query: Query, name: string, choices: readonly T[]): T | undefined {
  const text = query.get(name);
  if (text === undefined) return undefined;
  for (const choice of choices) if (text === choice) return choice;
  throw new KeyfoldError("bad-request", `query parameter \`${name}\` is ${JSON.stringify(text.slice(0, 64))}${suggestion(text, choices)}`);
}

/** `?name`, `?name=true`: yes; `?name=false`: no. */
export function flag(query: Query, name: string): boolean {
  const text = query.get(name);
  if (text === undefined) return false;
  if (text === "") return true;
  return oneOf(query, name, ["true", "false"]) === "true";
}

/** `<partition>:<offset>`. */
export function position(query: Query, name: string): Position | undefined {
  const text = query.get(name);
  if (text === undefined) return undefined;
  const parts = /^(\d{1,9}):(\d{1,16})$/.exec(text);
  const offset = Number(parts?.[2]);
  if (parts === null || !Number.isSafeInteger(offset)) {
    throw new KeyfoldError(
      "bad-request",
      `query parameter \`${name}\` is ${JSON.stringify(text.slice(0, 64))}; it takes \`<partition>:<offset>\`, as in an answer's \`positions\``,
    );
  }
  return { partition: Number(parts[1]), offset };
}

/** Refuses pairs that say different things. */
export function exclusive(query: Query, name: string, others: readonly string[]): void {
  if (!query.has(name)) return;
  for (const other of others) {
    if (query.has(other)) throw new KeyfoldError("bad-request", `query parameters \`${name}\` and \`${other}\` cannot be combined`);
  }
}
