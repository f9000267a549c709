import { z } from "zod";
import { type Checked, type ConfigProblem, checkLayer, nearest } from "./check.ts";
import { type LeafMeta, leafMeta } from "./leaf.ts";
import { layerSchema } from "./schema.ts";

const PREFIX = "KEYFOLD_";

/** Variables that are read elsewhere. */
const OTHERS = ["KEYFOLD_ENV", "KEYFOLD_CONFIG", "KEYFOLD_URL", "KEYFOLD_INTERNAL_URL", "KEYFOLD_TOKEN", "KEYFOLD_LOG_FORMAT"];

/** One setting that a variable can set. */
export interface Variable {
  readonly name: string;
  readonly path: readonly string[];
  readonly meta: LeafMeta;
}

/** `commit.interval.ms` → `KEYFOLD_COMMIT_INTERVAL_MS`, `http.internalPort` → `KEYFOLD_HTTP_INTERNAL_PORT`. */
export function variableName(path: readonly string[]): string {
  return (
    PREFIX +
    path
      .map((key) =>
        key
          .replace(/([a-z])([A-Z])/g, "$1_$2")
          .replaceAll(".", "_")
          .toUpperCase(),
      )
      .join("_")
  );
}

/** Every setting a variable can set: all but those kept by a name of the user's (`topics`, `functions`, `env`). */
export function variables(schema: z.ZodObject = layerSchema, path: readonly string[] = []): Variable[] {
  return Object.entries(schema.shape).flatMap(([key, child]) => {
    const at = [...path, key];
    const meta = leafMeta(child as z.ZodType);
    if (meta !== undefined) return meta.kind === "other" && key !== "ssl" ? [] : [{ name: variableName(at), path: at, meta }];
    const inner = child instanceof z.ZodOptional ? child.unwrap() : child;
    return inner instanceof z.ZodObject ? variables(inner, at) : [];
  });
}

/** The layer that environment variables make. An unknown variable that looks like a slip of the pen is a problem, others are left alone. */
export function environmentLayer(environment: Readonly<Record<string, string | undefined>>): Checked {
  const known = variables();
  const raw: Record<string, unknown> = {};
  const slips: ConfigProblem[] = [];
  for (const [name, value] of Object.entries(environment)) {
    if (!name.startsWith(PREFIX) || value === undefined || value === "" || OTHERS.includes(name)) continue;
    const variable = known.find((candidate) => candidate.name === name);
    if (variable !== undefined) put(raw, variable.path, fromText(value, variable.meta));
    else {
      const near = nearest(
        name.slice(PREFIX.length),
        known.map((candidate) => candidate.name.slice(PREFIX.length)),
      );
      if (near !== undefined)
        slips.push({ key: name, value, message: `unknown environment variable; did you mean ${PREFIX}${near}?`, nearest: PREFIX + near });
    }
  }
  const { layer, problems } = checkLayer(layerSchema, raw, (path) => `environment variable ${variableName(path.map(String))}`);
  return { layer, problems: [...slips, ...problems] };
}

/** Text from outside as the value its setting takes; what does not fit stays text, and is refused by the schema. */
export function fromText(value: string, meta: LeafMeta): unknown {
  switch (meta.kind) {
    case "number":
    case "duration":
    case "bytes":
      return /^\s*-?\d+(\.\d+)?\s*$/.test(value) ? Number(value) : value;
    case "boolean":
    case "other":
      return value === "true" ? true : value === "false" ? false : value;
    case "list":
      return value.split(",").map((item) => item.trim());
    default:
      return value;
  }
}

function put(target: Record<string, unknown>, path: readonly string[], value: unknown): void {
  const [first, ...rest] = path;
  if (first === undefined) return;
  if (rest.length === 0) {
    target[first] = value;
    return;
  }
  const inner = (target[first] ??= {}) as Record<string, unknown>;
  put(inner, rest, value);
}
