import type { DestinationStream } from "pino";

const COLOURS: Readonly<Record<string, number>> = { trace: 90, debug: 36, info: 32, warn: 33, error: 31, fatal: 31 };

/** Turns pino's JSON lines into lines for people: time, level, message, fields. */
export function prettyStream(to: DestinationStream, colour: boolean): DestinationStream {
  return { write: (line) => to.write(prettyLine(line, colour)) };
}

export function prettyLine(line: string, colour: boolean): string {
  let fields: Record<string, unknown>;
  try {
    fields = JSON.parse(line) as Record<string, unknown>;
  } catch {
    return line;
  }
  const { level, time, msg, err, error, ...rest } = fields;
  const name = String(level ?? "info");
  const paint = (text: string, code: number): string => (colour ? `\x1b[${code}m${text}\x1b[0m` : text);
  const failure = err ?? error;
  const parts = [paint(String(time ?? "").slice(11, 23), 90), paint(name.toUpperCase().padEnd(5), COLOURS[name] ?? 0), String(msg ?? "")];
  for (const [key, value] of Object.entries(rest))
    parts.push(`${paint(`${key}=`, 90)}${typeof value === "string" ? value : JSON.stringify(value)}`);
  if (isFailure(failure)) {
    parts.push(paint(failure.message, 31));
    return `${parts.join(" ")}\n${failure.stack === undefined ? "" : `${paint(failure.stack.split("\n").slice(1).join("\n"), 90)}\n`}`;
  }
  if (failure !== undefined) parts.push(JSON.stringify(failure));
  return `${parts.join(" ")}\n`;
}

function isFailure(value: unknown): value is { message: string; stack?: string } {
  return typeof value === "object" && value !== null && "message" in value;
}
