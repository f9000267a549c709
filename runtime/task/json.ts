import { jsonReplacer } from "./dead-letter.ts";

/** JSON of a state for HTTP: Map as object, Set as array, bigint as text, bytes as base64. Flat plain states take the fast way. */
export function stateJson(value: unknown): string {
  if (isFlat(value)) return JSON.stringify(value) ?? "null";
  return JSON.stringify(value, jsonReplacer) ?? "null";
}

function isFlat(value: unknown): boolean {
  if (typeof value !== "object") return typeof value !== "bigint";
  if (value === null) return true;
  if (Object.getPrototypeOf(value) !== Object.prototype) return false;
  for (const name in value) {
    const field = (value as Record<string, unknown>)[name];
    if (typeof field === "object" ? field !== null : typeof field === "bigint") return false;
  }
  return true;
}
