import { inspect } from "node:util";
import { closest, distance } from "fastest-levenshtein";
import { z } from "zod";
import { KeyfoldError } from "../errors.ts";
import { leafMeta } from "./leaf.ts";
import { isTopicName, type Layer, layerSchema, NAME } from "./schema.ts";

/** One thing wrong with the config. */
export interface ConfigProblem {
  /** Full path of the key, or the flag or variable it came from. */
  readonly key: string;
  readonly value?: unknown;
  /** What would be right, in words. */
  readonly message: string;
  readonly nearest?: string;
}

export interface Checked {
  readonly layer: Layer;
  readonly problems: readonly ConfigProblem[];
}

type Path = readonly PropertyKey[];

/** Checks one layer against the schema. `label` says how its author wrote a key: as a path, a flag or a variable. */
export function checkLayer(schema: z.ZodType, raw: unknown, label: (path: Path) => string = dotted): Checked {
  const parsed = schema.safeParse(raw);
  if (parsed.success) {
    const layer = parsed.data as Layer;
    return { layer, problems: nameProblems(layer, label) };
  }
  const problems = parsed.error.issues.flatMap((issue) =>
    issue.code === "unrecognized_keys"
      ? issue.keys.map((key) => unknownKey(schema, issue.path, key, valueAt(raw, [...issue.path, key]), label))
      : [badValue(schema, issue.path, issue.message, valueAt(raw, issue.path), label)],
  );
  return { layer: {}, problems };
}

/** `config-invalid` that lists all problems. */
export function configInvalid(problems: readonly ConfigProblem[], file: string | undefined): KeyfoldError {
  const where = file ?? "the configuration";
  const head = problems.length === 1 ? `${where} is not valid:` : `${where} is not valid, in ${problems.length} places:`;
  const lines = problems.map(({ key, message }) => `  ${key}: ${message}`);
  return new KeyfoldError("config-invalid", [head, ...lines].join("\n"), {
    details: { problems, ...(file === undefined ? {} : { file }) },
  });
}

/** The same where nothing but the command line is wrong. */
export function flagsInvalid(problems: readonly ConfigProblem[]): KeyfoldError {
  const text = problems.map(({ key, message }) => `${key}: ${message}`).join("\n  ");
  return new KeyfoldError("bad-request", text, { details: { problems } });
}

/** "did you mean ...?" for a word, if one of the candidates is near enough. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  if (candidates.length === 0) return undefined;
  const best = closest(
    word.toLowerCase(),
    candidates.map((c) => c.toLowerCase()),
  );
  const found = candidates.find((c) => c.toLowerCase() === best);
  return found !== undefined && distance(word.toLowerCase(), best) <= Math.max(2, Math.floor(word.length / 3)) ? found : undefined;
}

export function dotted(path: Path): string {
  return path.map(String).join(".");
}

/** Where in the schema a path leads: its type, without the optional wrapping. */
function schemaAt(schema: z.ZodType, path: Path): z.ZodType | undefined {
  let here: z.ZodType | undefined = schema;
  for (const key of path) {
    const inner: z.ZodType | undefined = here === undefined || leafMeta(here) !== undefined ? undefined : unwrap(here);
    if (inner instanceof z.ZodObject) here = inner.shape[String(key)] as z.ZodType | undefined;
    else if (inner instanceof z.ZodRecord) here = inner.valueType as z.ZodType;
    else return undefined;
  }
  return here;
}

function unwrap(schema: z.ZodType): z.ZodType {
  return schema instanceof z.ZodOptional ? (schema.unwrap() as z.ZodType) : schema;
}

function badValue(schema: z.ZodType, path: Path, fallback: string, value: unknown, label: (path: Path) => string): ConfigProblem {
  const at = schemaAt(schema, path);
  const allowed = (at && leafMeta(at)?.allowed) ?? groupText(at) ?? fallback;
  const choices = typeof value === "string" ? [...allowed.matchAll(/"([^"]+)"/g)].map(([, choice]) => choice ?? "") : [];
  const near = at !== undefined && leafMeta(at)?.kind === "choice" ? nearest(String(value), choices) : undefined;
  return {
    key: label(path) || "the default export",
    value,
    message: `${show(value)} is not allowed; it must be ${allowed}${near === undefined ? "" : ` (did you mean ${JSON.stringify(near)}?)`}`,
    ...(near === undefined ? {} : { nearest: near }),
  };
}

function groupText(schema: z.ZodType | undefined): string | undefined {
  const inner = schema && unwrap(schema);
  if (inner instanceof z.ZodObject) return `an object with keys such as ${Object.keys(inner.shape).slice(0, 3).join(", ")}`;
  return inner instanceof z.ZodRecord ? "an object with a key for each name" : undefined;
}

function unknownKey(schema: z.ZodType, path: Path, key: string, value: unknown, label: (path: Path) => string): ConfigProblem {
  const group = schemaAt(schema, path);
  const inner = group && unwrap(group);
  const siblings = inner instanceof z.ZodObject ? Object.keys(inner.shape) : [];
  const elsewhere = Object.entries(layerSchema.shape).find(([, child]) => {
    const childShape = unwrap(child as z.ZodType);
    return childShape instanceof z.ZodObject && leafMeta(child as z.ZodType) === undefined && key in childShape.shape;
  })?.[0];
  const near =
    nearest(key, siblings) ?? (elsewhere === undefined ? undefined : `${elsewhere}.${key}`) ?? (key in layerSchema.shape ? key : undefined);
  const hint = near === undefined ? `the keys here are ${siblings.join(", ")}` : `did you mean ${JSON.stringify(near)}?`;
  return {
    key: label([...path, key]) || show(key),
    value,
    message: `unknown key (value ${show(value)}); ${hint}`,
    ...(near === undefined ? {} : { nearest: near }),
  };
}

function nameProblems(layer: Layer, label: (path: Path) => string): ConfigProblem[] {
  const overlays = Object.entries((layer as { env?: Record<string, Layer> }).env ?? {});
  return [
    ...Object.keys(layer.topics ?? {})
      .filter((topic) => !isTopicName(topic))
      .map((topic) => ({
        key: label(["topics", topic]),
        value: topic,
        message: `${show(topic)} is not a topic name: use 1 to 249 of A-Z a-z 0-9 . _ -`,
      })),
    ...Object.keys(layer.functions ?? {})
      .filter((name) => !NAME.test(name))
      .map((name) => ({
        key: label(["functions", name]),
        value: name,
        message: `${show(name)} is not a function name: use a-z 0-9 . _ -, beginning with a letter or digit`,
      })),
    ...overlays.flatMap(([name, overlay]) => nameProblems(overlay, (path) => label(["env", name, ...path]))),
  ];
}

function valueAt(raw: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (here, key) => (typeof here === "object" && here !== null ? (here as Record<PropertyKey, unknown>)[key] : undefined),
    raw,
  );
}

function show(value: unknown): string {
  if (typeof value === "function") return "a function";
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch {
    text = undefined;
  }
  text ??= inspect(value, { depth: 1, breakLength: Number.POSITIVE_INFINITY });
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
