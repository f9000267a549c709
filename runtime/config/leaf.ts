import { z } from "zod";
import { durationMs } from "../define/duration.ts";

/** How a value is written: decides how text from the environment is read. */
export type LeafKind = "number" | "duration" | "bytes" | "text" | "path" | "choice" | "boolean" | "list" | "other";

/** What is said of one setting: in errors, in `docs/config.md`, by `keyfold` itself. */
export interface SettingDoc {
  /** What it is, and why the default is what it is. One sentence each. */
  readonly doc: string;
  /** `ms`, `bytes`, ... */
  readonly unit?: string;
  /** The default; a function where it depends on the machine. */
  readonly default?: unknown;
  /** The default in words, where the value does not say it. */
  readonly defaultText?: string;
}

export interface LeafMeta extends SettingDoc {
  readonly kind: LeafKind;
  /** What may be written, in words: goes after "must be". */
  readonly allowed: string;
}

export type Leaf<T = unknown> = z.ZodOptional<z.ZodType<T>>;

interface LeafType<T> {
  readonly kind: LeafKind;
  readonly allowed: string;
  readonly unit?: string;
  /** The value as the engine wants it; undefined: not allowed. */
  parse(raw: unknown): T | undefined;
}

/** A setting: its type and what is said of it. */
export function setting<T>(type: LeafType<T>, doc: SettingDoc): Leaf<T> {
  const { kind, allowed, unit } = type;
  const schema = z.unknown().transform((raw, context): T => {
    const value = type.parse(raw);
    if (value === undefined) {
      context.addIssue({ code: "custom", message: allowed });
      return z.NEVER;
    }
    return value;
  });
  const meta: LeafMeta = { ...(unit === undefined ? {} : { unit }), ...doc, kind, allowed };
  return (schema as unknown as z.ZodType<T>).optional().meta({ ...meta });
}

/** What `setting` was told of a schema; undefined for groups and maps. */
export function leafMeta(schema: z.ZodType): LeafMeta | undefined {
  const meta = schema.meta();
  return meta !== undefined && "allowed" in meta ? (meta as unknown as LeafMeta) : undefined;
}

export function whole(min: number, max: number = Number.MAX_SAFE_INTEGER): LeafType<number> {
  return {
    kind: "number",
    allowed: `a whole number ${range(min, max)}`,
    parse: (raw) => (typeof raw === "number" && Number.isSafeInteger(raw) && raw >= min && raw <= max ? raw : undefined),
  };
}

/** Milliseconds, or text such as "5 minutes". */
export function duration(min = 0, max: number = Number.MAX_SAFE_INTEGER): LeafType<number> {
  return {
    kind: "duration",
    unit: "ms",
    allowed: `whole milliseconds ${range(min, max)}, or text such as "30s", "5 minutes", "1 hour"`,
    parse(raw) {
      const ms = toMs(raw);
      return ms !== undefined && ms >= min && ms <= max ? ms : undefined;
    },
  };
}

/** Bytes, or text such as "10 MiB". */
export function bytes(min = 0, max: number = Number.MAX_SAFE_INTEGER): LeafType<number> {
  return {
    kind: "bytes",
    unit: "bytes",
    allowed: `whole bytes ${range(min, max)}, or text such as "64 KiB", "10 MiB", "1 GB"`,
    parse(raw) {
      const size = toBytes(raw);
      return size !== undefined && size >= min && size <= max ? size : undefined;
    },
  };
}

export function oneOf<const T extends readonly (string | boolean)[]>(...choices: T): LeafType<T[number]> {
  return {
    kind: "choice",
    allowed: choices.map((choice) => JSON.stringify(choice)).join(" or "),
    parse: (raw) => choices.find((choice) => choice === raw),
  };
}

export const flag: LeafType<boolean> = {
  kind: "boolean",
  allowed: "true or false",
  parse: (raw) => (typeof raw === "boolean" ? raw : undefined),
};

export function text(allowed = "text, not empty", pattern = /^[^\0]+$/): LeafType<string> {
  return { kind: "text", allowed, parse: (raw) => (typeof raw === "string" && pattern.test(raw) ? raw : undefined) };
}

export const path: LeafType<string> = { ...text('a path, relative to the config file or absolute, such as "state"'), kind: "path" };

export function list(allowed: string, pattern: RegExp): LeafType<string[]> {
  return {
    kind: "list",
    allowed,
    parse: (raw) =>
      Array.isArray(raw) && raw.length > 0 && raw.every((item) => typeof item === "string" && pattern.test(item))
        ? (raw as string[])
        : undefined,
  };
}

/** A type that fits none of the above. */
export function other<T>(allowed: string, parse: (raw: unknown) => T | undefined): LeafType<T> {
  return { kind: "other", allowed, parse };
}

const SIZES: Readonly<Record<string, number>> = {
  b: 1,
  byte: 1,
  bytes: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

function toBytes(raw: unknown): number | undefined {
  if (typeof raw === "number") return Number.isSafeInteger(raw) ? raw : undefined;
  const match = typeof raw === "string" ? /^\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*$/i.exec(raw) : null;
  const unit = SIZES[(match?.[2] ?? "").toLowerCase()];
  return match === null || unit === undefined ? undefined : Math.round(Number(match[1]) * unit);
}

function toMs(raw: unknown): number | undefined {
  if (typeof raw === "number") return Number.isSafeInteger(raw) ? raw : undefined;
  if (typeof raw !== "string") return undefined;
  try {
    return durationMs(raw as `${number}s`, "duration");
  } catch {
    return undefined;
  }
}

function range(min: number, max: number): string {
  return max === Number.MAX_SAFE_INTEGER ? `from ${min}` : `from ${min} to ${max}`;
}
