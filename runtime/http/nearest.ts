import { distance } from "fastest-levenshtein";

/** `; did you mean x?`, or the whole choice when nothing is near. */
export function suggestion(given: string, valid: readonly string[], quote = "`"): string {
  if (valid.length === 0) return "";
  let best = valid[0] ?? "";
  let least = Number.POSITIVE_INFINITY;
  for (const candidate of valid) {
    const away = distance(given.toLowerCase().slice(0, 64), candidate.toLowerCase());
    if (away < least) {
      least = away;
      best = candidate;
    }
  }
  if (least <= Math.max(2, Math.floor(best.length / 2))) return `; did you mean ${quote}${best}${quote}?`;
  return `; valid: ${valid.map((name) => `${quote}${name}${quote}`).join(", ")}`;
}
