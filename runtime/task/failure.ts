import { type ErrorCode, KeyfoldError } from "../errors.ts";

/**
 * Why one record could not be processed, as the error policy needs to know it.
 * `clean`: state and stores are certainly as they were before the record, so the task may simply go on without it.
 * Otherwise it goes back to its last commit and replays without the record.
 */
export class RecordFailure extends Error {
  readonly code: ErrorCode;
  readonly clean: boolean;

  constructor(code: ErrorCode, cause: unknown, clean: boolean) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.name = cause instanceof Error ? cause.name : "Error";
    this.code = code;
    this.clean = clean;
  }

  /** Any thrown thing; what did not come as a RecordFailure is not known to be clean. */
  static from(thrown: unknown): RecordFailure {
    if (thrown instanceof RecordFailure) return thrown;
    return new RecordFailure(thrown instanceof KeyfoldError ? thrown.code : "reducer-threw", thrown, false);
  }

  /** The stack of what user code threw. */
  get trace(): string {
    return this.cause instanceof Error ? (this.cause.stack ?? this.cause.message) : String(this.cause);
  }
}

/** A failure of a store or its disk, which must not be held against a record. */
export function brokenBy(thrown: unknown): KeyfoldError | undefined {
  return thrown instanceof KeyfoldError && (thrown.remedy === "corrupt" || thrown.remedy === "retry" || thrown.remedy === "fatal")
    ? thrown
    : undefined;
}
