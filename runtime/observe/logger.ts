import { type DestinationStream, destination, type Logger as PinoLogger, pino, stdSerializers } from "pino";
import type { ResolvedConfig } from "../config/resolved.ts";
import { KeyfoldError } from "../errors.ts";
import { prettyStream } from "./pretty.ts";

/** pino's interface: `logger.info(fields, message)`. */
export type Logger = PinoLogger;

export interface LoggerOptions {
  /** Default `info`. */
  readonly level?: ResolvedConfig["logLevel"];
  /** Default: the environment's `KEYFOLD_LOG_FORMAT`, else `pretty` when stderr is a terminal, else `json`. */
  readonly format?: "pretty" | "json";
  /** Where lines go. Default stderr: stdout is for data. */
  readonly to?: DestinationStream;
}

/** A logger for the host: lines for people on a terminal, JSON lines for machines. */
export function createLogger(options: LoggerOptions = {}): Logger {
  const format = options.format ?? formatOf(process.env["KEYFOLD_LOG_FORMAT"]) ?? (process.stderr.isTTY ? "pretty" : "json");
  // Synchronous, so that the last words before an exit are not lost.
  const raw = options.to ?? destination({ dest: 2, sync: true });
  return pino(
    {
      level: options.level ?? "info",
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: errorFields, error: errorFields },
    },
    format === "pretty" ? prettyStream(raw, colours()) : raw,
  );
}

/** A child whose lines name the function, and the task when there is one. */
export function functionLogger(logger: Logger, fn: string, task?: string): Logger {
  return logger.child(task === undefined ? { function: fn } : { function: fn, task });
}

function formatOf(text: string | undefined): "pretty" | "json" | undefined {
  if (text === undefined || text === "") return undefined;
  if (text === "pretty" || text === "json") return text;
  throw new KeyfoldError("config-invalid", `KEYFOLD_LOG_FORMAT is ${JSON.stringify(text)}; it takes \`pretty\` or \`json\``, {
    details: { key: "KEYFOLD_LOG_FORMAT", value: text },
  });
}

function colours(): boolean {
  return process.stderr.isTTY === true && (process.env["NO_COLOR"] ?? "") === "";
}

function errorFields(error: unknown): unknown {
  if (!(error instanceof KeyfoldError)) return error instanceof Error ? stdSerializers.err(error) : error;
  return {
    code: error.code,
    message: error.message,
    remedy: error.remedy,
    details: error.details,
    stack: error.stack,
    ...(error.cause instanceof Error ? { cause: stdSerializers.err(error.cause) } : {}),
  };
}
