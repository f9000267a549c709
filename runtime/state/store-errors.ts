import { KeyfoldError } from "../errors.ts";

/** How a store is named in messages. */
export interface StoreName {
  readonly store: string;
  readonly task: string;
}

export function storeClosed(name: StoreName | undefined): KeyfoldError {
  const which = name === undefined ? "The store" : `Store "${name.store}" of task ${name.task}`;
  return new KeyfoldError("store-closed", `${which} is closed: it was read or written after its task had stopped.`, {
    remedy: "migrated",
    details: { ...name },
  });
}

/** An error of the RocksDB binding, as one of ours. */
export function engineError(thrown: unknown, name: StoreName, dir: string, doing: string): KeyfoldError {
  if (thrown instanceof KeyfoldError) return thrown;
  const cause = rootCause(thrown);
  const text = cause instanceof Error ? cause.message : String(cause);
  const code = errorCode(cause);
  const details = { ...name, dir, reason: text };
  const where = `store "${name.store}" of task ${name.task} (${dir})`;
  if (code === "LEVEL_LOCKED") {
    return new KeyfoldError(
      "store-locked",
      `Cannot open ${where}: another process, or another thread of this one, has it open. Try again once it has let go.`,
      {
        remedy: "retry",
        cause,
        details,
      },
    );
  }
  if (code === "LEVEL_CORRUPTION" || /^Corruption:/.test(text)) {
    return new KeyfoldError("store-corrupt", `RocksDB says ${where} is corrupt, while ${doing}: ${text}`, {
      remedy: "corrupt",
      cause,
      details,
    });
  }
  if (/no space left on device|disk quota exceeded/i.test(text)) {
    return new KeyfoldError(
      "disk-full",
      `The disk is full: ${doing} ${where} failed (${text}). Free some space; nothing that was acknowledged is lost.`,
      {
        remedy: "retry",
        cause,
        details,
      },
    );
  }
  return new KeyfoldError("internal", `RocksDB failed ${doing} ${where}: ${text}`, { remedy: "fatal", cause, details });
}

/** An error of the file system: a full disk as one of ours, all others as they are (they name the path). */
export function fileError(thrown: unknown, path: string): unknown {
  const code = errorCode(thrown);
  if (code !== "ENOSPC" && code !== "EDQUOT") return thrown;
  return new KeyfoldError("disk-full", `The disk is full: cannot write ${path}. Free some space; nothing that was acknowledged is lost.`, {
    remedy: "retry",
    cause: thrown,
    details: { path },
  });
}

function rootCause(thrown: unknown): unknown {
  let at = thrown;
  while (at instanceof Error && at.cause instanceof Error) at = at.cause;
  return at;
}

function errorCode(thrown: unknown): string | undefined {
  return thrown instanceof Error && "code" in thrown && typeof thrown.code === "string" ? thrown.code : undefined;
}
