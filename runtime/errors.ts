/** The closed list of error codes; each has an anchor in docs/errors.md. */
export type ErrorCode =
  | "config-invalid"
  | "build-failed"
  | "forbidden-import"
  | "function-invalid"
  | "topology-invalid"
  | "topic-mismatch"
  | "topic-unknown"
  | "function-unknown"
  | "partition-unknown"
  | "offset-out-of-range"
  | "fenced"
  | "log-closed"
  | "log-corrupt"
  | "log-unavailable"
  | "disk-full"
  | "format-newer"
  | "store-locked"
  | "store-corrupt"
  | "store-closed"
  | "store-unknown"
  | "store-type"
  | "record-undecodable"
  | "reducer-threw"
  | "reducer-timeout"
  | "state-unstorable"
  | "state-too-large"
  | "state-unreadable"
  | "task-failed"
  | "not-ready"
  | "timeout"
  | "bad-request"
  | "body-too-large"
  | "not-found"
  | "method-not-allowed"
  | "media-type-unsupported"
  | "limit-exceeded"
  | "unauthorized"
  | "port-in-use"
  | "host-unreachable"
  | "internal";

/** What to do about it: try again, repair, wait for the new owner, change what was asked, or stop. */
export type Remedy = "retry" | "corrupt" | "migrated" | "user" | "fatal";

/**
 * The one error class. The message says what happened, where, why, and what to do next; `details` holds the same
 * facts for programs. Plain data only, so that it crosses threads (see `toWire`).
 */
export class KeyfoldError extends Error {
  readonly code: ErrorCode;
  readonly remedy: Remedy;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, options: { remedy?: Remedy; cause?: unknown; details?: Record<string, unknown> } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "KeyfoldError";
    this.code = code;
    this.remedy = options.remedy ?? "user";
    this.details = options.details ?? {};
  }

  /** A form that survives postMessage. */
  toWire(): ErrorWire {
    return { code: this.code, message: this.message, remedy: this.remedy, details: { ...this.details }, stack: this.stack ?? "" };
  }

  static fromWire(wire: ErrorWire): KeyfoldError {
    const error = new KeyfoldError(wire.code, wire.message, { remedy: wire.remedy, details: wire.details });
    error.stack = wire.stack;
    return error;
  }

  /** Any thrown thing as a KeyfoldError; what is one already stays the same. */
  static from(thrown: unknown, code: ErrorCode = "internal", remedy: Remedy = "fatal"): KeyfoldError {
    if (thrown instanceof KeyfoldError) return thrown;
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    return new KeyfoldError(code, message, { remedy, cause: thrown });
  }
}

export interface ErrorWire {
  readonly code: ErrorCode;
  readonly message: string;
  readonly remedy: Remedy;
  readonly details: Record<string, unknown>;
  readonly stack: string;
}
