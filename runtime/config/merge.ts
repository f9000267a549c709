import type { Layer } from "./schema.ts";
import { isPlainObject } from "./schema.ts";

/** One layer over another: objects key by key, everything else replaced. A log of another kind replaces the log whole. */
export function overlay(below: Layer, above: Layer): Layer {
  const kind = above.log?.kind;
  const base = kind !== undefined && kind !== (below.log?.kind ?? "embedded") ? { ...below, log: {} } : below;
  return deep(base, above) as Layer;
}

function deep(below: unknown, above: unknown): unknown {
  if (above === undefined) return below;
  if (!isPlainObject(below) || !isPlainObject(above)) return above;
  const merged: Record<string, unknown> = { ...below };
  for (const [key, value] of Object.entries(above)) merged[key] = deep(below[key], value);
  return merged;
}
