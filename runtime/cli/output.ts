import Table from "cli-table3";
import type { KeyfoldError } from "../errors.ts";

/** A stream we write to, as far as it concerns us. */
export interface Sink {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
}

export interface OutputOptions {
  readonly stdout: Sink;
  readonly stderr: Sink;
  /** `--json`: data as JSON, errors as JSON. */
  readonly json: boolean;
  /** Default: those of the process. `NO_COLOR` turns colours off, `FORCE_COLOR` on. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

type Style = "bold" | "dim" | "red" | "green" | "yellow" | "cyan";

const CODES: Readonly<Record<Style, readonly [number, number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
};

/**
 * The only writer of stdout and stderr: stdout is data, stderr is for people. Colours where the stream is a terminal.
 */
export class Output {
  readonly json: boolean;
  readonly #stdout: Sink;
  readonly #stderr: Sink;
  readonly #environment: Readonly<Record<string, string | undefined>>;
  #progress = false;

  constructor({ stdout, stderr, json, environment = process.env }: OutputOptions) {
    this.json = json;
    this.#stdout = stdout;
    this.#stderr = stderr;
    this.#environment = environment;
  }

  /** Whether a person looks at stderr. */
  get interactive(): boolean {
    return this.#stderr.isTTY === true;
  }

  /** Data: one JSON document on one line. */
  document(value: unknown): void {
    this.#stdout.write(`${JSON.stringify(value)}\n`);
  }

  /** Data as text, for people and pipes. */
  text(line: string): void {
    this.#stdout.write(`${line}\n`);
  }

  /** Data as columns, with a head. */
  table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): void {
    const none = {
      top: "",
      "top-mid": "",
      "top-left": "",
      "top-right": "",
      bottom: "",
      "bottom-mid": "",
      "bottom-left": "",
      "bottom-right": "",
      left: "",
      "left-mid": "",
      mid: "",
      "mid-mid": "",
      right: "",
      "right-mid": "",
      middle: "  ",
    };
    const table = new Table({ chars: none, style: { "padding-left": 0, "padding-right": 0, head: [], border: [] } });
    table.push(
      head.map((cell) => this.style(cell, "bold", this.#stdout)),
      ...rows.map((row) => row.map((cell) => (typeof cell === "number" ? { content: String(cell), hAlign: "right" as const } : cell))),
    );
    this.text(
      table
        .toString()
        .split("\n")
        .map((line) => line.trimEnd())
        .join("\n"),
    );
  }

  /** For people. */
  note(text: string): void {
    this.#clear();
    this.#stderr.write(`${text}\n`);
  }

  success(text: string): void {
    this.note(`${this.style("✓", "green")} ${text}`);
  }

  warn(text: string): void {
    this.note(`${this.style("!", "yellow")} ${text}`);
  }

  /** What went wrong; with `--json` as one JSON document on stderr. */
  error(error: KeyfoldError): void {
    if (this.json) {
      this.#stderr.write(`${JSON.stringify({ error: { code: error.code, message: error.message, details: error.details } })}\n`);
      return;
    }
    const [first = "", ...rest] = error.message.split("\n");
    this.note([`${this.style("✗", "red")} ${first} ${this.style(`[${error.code}]`, "dim")}`, ...rest].join("\n"));
  }

  /** A line that the next one replaces, where a person looks on; nothing elsewhere. */
  progress(text: string): void {
    if (!this.interactive || this.json) return;
    this.#clear();
    this.#stderr.write(text);
    this.#progress = true;
  }

  /** Text in a style, if the stream shows any. */
  style(text: string, style: Style, stream: Sink = this.#stderr): string {
    if (!this.#colours(stream)) return text;
    const [on, off] = CODES[style];
    return `\u001b[${on}m${text}\u001b[${off}m`;
  }

  /** Text as it is, to stderr: help and usage. */
  raw(text: string, stream: "stdout" | "stderr"): void {
    (stream === "stdout" ? this.#stdout : this.#stderr).write(text);
  }

  #clear(): void {
    if (!this.#progress) return;
    this.#progress = false;
    this.#stderr.write("\r\u001b[2K");
  }

  #colours(stream: Sink): boolean {
    const { NO_COLOR, FORCE_COLOR, TERM } = this.#environment;
    if (NO_COLOR !== undefined && NO_COLOR !== "") return false;
    if (FORCE_COLOR !== undefined && FORCE_COLOR !== "" && FORCE_COLOR !== "0") return true;
    return stream.isTTY === true && TERM !== "dumb";
  }
}
