import { KeyfoldError } from "../errors.ts";

const UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  millisecond: 1,
  s: 1_000,
  second: 1_000,
  m: 60_000,
  min: 60_000,
  minute: 60_000,
  h: 3_600_000,
  hour: 3_600_000,
  d: 86_400_000,
  day: 86_400_000,
  week: 604_800_000,
};

/** Milliseconds, or text such as `"1 hour"`, `"5 minutes"`, `"90s"`, `"1.5 days"`. */
export type Duration = number | `${number} ${string}` | `${number}${string}`;

/** A duration in whole milliseconds, not negative; anything else is `function-invalid`, naming `what`. */
export function durationMs(duration: Duration, what: string): number {
  const ms = typeof duration === "number" ? duration : parse(duration);
  if (ms === undefined || !Number.isSafeInteger(ms) || ms < 0) {
    throw new KeyfoldError(
      "function-invalid",
      `${what}: ${JSON.stringify(duration)} is not a duration; write milliseconds as a whole number, or text such as "5 minutes", "1 hour", "90s"`,
      { details: { what, value: duration } },
    );
  }
  return ms;
}

function parse(text: string): number | undefined {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*$/i.exec(text);
  if (match === null) return undefined;
  const name = (match[2] ?? "").toLowerCase();
  const unit = UNITS[name] ?? UNITS[name.replace(/s$/, "")];
  return unit === undefined ? undefined : Math.round(Number(match[1]) * unit);
}
