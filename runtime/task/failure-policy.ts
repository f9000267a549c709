import type { ErrorPolicy } from "../config/resolved.ts";
import type { RecordFailure } from "./failure.ts";

const MAX_BACKOFF_MS = 30_000;

export interface FailurePolicyOptions {
  readonly onError: ErrorPolicy;
  /** Attempts after the first before `retry` gives up on a record. */
  readonly retries: number;
  readonly backoffMs: number;
  readonly wallClock: () => number;
}

/**
 * What to do about a failed record. `dirty`, or `rollback`: the task must go back to its last commit first, since the
 * record may have changed something that cannot be taken back in place.
 */
export type Verdict =
  | { readonly kind: "retry"; readonly at: number; readonly dirty: boolean }
  | { readonly kind: "rollback" }
  | { readonly kind: "dead-letter" }
  | { readonly kind: "fail" };

/** A function's error policy at work in one task: counts attempts and remembers which records to leave out of a replay. */
export class FailurePolicy {
  readonly #options: FailurePolicyOptions;
  /** Records to leave out, by `topic/partition/offset`. */
  readonly #poisons = new Map<string, RecordFailure>();
  /** Those of them that were left out since the last commit. */
  readonly #taken = new Set<string>();
  readonly #attempts = new Map<string, number>();

  constructor(options: FailurePolicyOptions) {
    this.#options = options;
  }

  /** `applied`: records after this one may have been processed already (async), so it cannot be retried in place. */
  decide(where: string, failure: RecordFailure, applied = false): Verdict {
    const { onError, retries, backoffMs, wallClock } = this.#options;
    if (onError === "fail") return { kind: "fail" };
    const attempts = this.#attempts.get(where) ?? 0;
    if (onError === "retry" && attempts < retries) {
      this.#attempts.set(where, attempts + 1);
      return { kind: "retry", at: wallClock() + Math.min(MAX_BACKOFF_MS, backoffMs * 2 ** attempts), dirty: applied || !failure.clean };
    }
    this.#attempts.delete(where);
    if (failure.clean) return { kind: "dead-letter" };
    this.#poisons.set(where, failure);
    return { kind: "rollback" };
  }

  poison(where: string, failure: RecordFailure): void {
    this.#poisons.set(where, failure);
  }

  /** Nothing to leave out: the usual case, asked for every record. */
  get clear(): boolean {
    return this.#poisons.size === 0;
  }

  /** The failure of a record that is to be left out: until the commit behind it, however often the task goes back before it. */
  take(where: string): RecordFailure | undefined {
    const failure = this.#poisons.get(where);
    if (failure !== undefined) this.#taken.add(where);
    return failure;
  }

  /** What was left out so far will not come again. */
  committed(): void {
    for (const where of this.#taken) this.#poisons.delete(where);
    this.#taken.clear();
  }

  rolledBack(): void {
    this.#taken.clear();
  }

  /** Some record is being tried again. */
  get retrying(): boolean {
    return this.#attempts.size > 0;
  }

  succeeded(where: string): void {
    this.#attempts.delete(where);
  }
}
