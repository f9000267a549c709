import type { Output } from "./output.ts";

/** One command, as data: the program, its help, completion and docs/cli.md are all made from this. */
export interface Command {
  readonly name: string;
  /** One line. */
  readonly summary: string;
  /** What more there is to say, for its own help. */
  readonly description?: string;
  readonly arguments?: readonly Argument[];
  readonly options?: readonly Option[];
  /** What it prints on stdout with `--json`. Absent: it has no `--json`. */
  readonly json?: string;
  readonly examples?: readonly (readonly [command: string, does: string])[];
  /** Resolves to the exit code; undefined is 0. Errors are thrown as KeyfoldErrors. */
  run(context: CommandContext): Promise<number | undefined>;
}

export interface Argument {
  /** `function`, `key?` (optional), `names...` (any number). */
  readonly name: string;
  readonly summary: string;
}

export interface Option {
  /** As commander takes it: `-p, --port <port>`, `--follow`. */
  readonly flags: string;
  readonly summary: string;
  /** Shown in help. */
  readonly default?: string;
}

export interface CommandContext {
  readonly args: Readonly<Record<string, string | undefined>>;
  /** Values of an argument that takes any number. */
  readonly rest: readonly string[];
  readonly options: OptionValues;
  readonly output: Output;
  /** Working directory, absolute. */
  readonly cwd: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly stdin: { readonly isTTY?: boolean | undefined };
  readonly signals: Signals;
}

/** Option values by long name in camel case: text, or true for a switch. */
export type OptionValues = Readonly<Record<string, string | boolean | undefined>>;

/** The process's wish to stop. */
export interface Signals {
  /** Calls back at the first SIGINT or SIGTERM; the second ends the process at once. Returns the undo. */
  onStop(callback: () => void): () => void;
}

export function textOption(options: OptionValues, name: string): string | undefined {
  const value = options[name];
  return typeof value === "string" ? value : undefined;
}

export function switchOption(options: OptionValues, name: string): boolean {
  return options[name] === true;
}
