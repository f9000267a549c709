import type { z } from "zod";
import { leafMeta } from "./leaf.ts";

type Filled<S extends z.ZodObject> = { [K in keyof z.output<S>]-?: NonNullable<z.output<S>[K]> };

/** The group's settings as given, with the schema's defaults where nothing was. Settings without a default stay absent. */
export function withDefaults<S extends z.ZodObject>(schema: S, given: Partial<z.output<S>> = {}): Filled<S> {
  const filled: Record<string, unknown> = {};
  for (const [key, child] of Object.entries(schema.shape)) {
    const value = (given as Record<string, unknown>)[key] ?? defaultOf(child as z.ZodType);
    if (value !== undefined) filled[key] = value;
  }
  return filled as Filled<S>;
}

function defaultOf(schema: z.ZodType): unknown {
  const value = leafMeta(schema)?.default;
  return typeof value === "function" ? (value as () => unknown)() : value;
}
