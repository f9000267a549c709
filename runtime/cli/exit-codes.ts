import type { ErrorCode, KeyfoldError } from "../errors.ts";

/** What the command line's exit codes mean; in `--help` and docs/cli.md. */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  unreachable: 4,
  config: 5,
  notNow: 6,
  uncommitted: 7,
  interrupted: 130,
} as const;

export const EXIT_MEANINGS: readonly (readonly [code: number, meaning: string])[] = [
  [EXIT.ok, "done"],
  [EXIT.failed, "failed: the message says why"],
  [EXIT.usage, "the command line is wrong: unknown command or option, bad value"],
  [EXIT.notFound, "no such function, key or topic"],
  [EXIT.unreachable, "no host answers"],
  [EXIT.config, "the configuration is not valid"],
  [EXIT.notNow, "the host cannot do it now (starting, moving, overloaded): try again"],
  [EXIT.uncommitted, "a host stopped without its last commit, because the log did not answer: the next start goes on from the one before"],
  [EXIT.interrupted, "interrupted before it was done"],
];

const BY_CODE: Partial<Readonly<Record<ErrorCode, number>>> = {
  "config-invalid": EXIT.config,
  "not-found": EXIT.notFound,
  "function-unknown": EXIT.notFound,
  "topic-unknown": EXIT.notFound,
  "partition-unknown": EXIT.notFound,
  "store-unknown": EXIT.notFound,
  "host-unreachable": EXIT.unreachable,
  "bad-request": EXIT.usage,
  "not-ready": EXIT.notNow,
  timeout: EXIT.notNow,
};

export function exitCodeOf(error: KeyfoldError): number {
  return BY_CODE[error.code] ?? EXIT.failed;
}
