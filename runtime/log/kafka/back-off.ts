import { setTimeout as sleep } from "node:timers/promises";
import { KeyfoldError } from "../../errors.ts";
import { isRetriable } from "./protocol-errors.ts";

export interface RetryOptions {
  /** Epoch ms after which the last error is thrown. Default: no end, only `signal` stops it. */
  readonly deadline?: number;
  readonly signal?: AbortSignal;
  /** Longest pause between two attempts, ms. Default 1 200. */
  readonly longest?: number;
  /** Also tried again, besides what is retriable by itself. */
  readonly also?: (thrown: unknown) => boolean;
  /** After each failure that is tried again: forget a leader or a coordinator, for example. */
  readonly failed?: (thrown: unknown) => void;
}

/** Pause before attempt n (1 is the first repetition), ms: 20, 40, … 1 000, each ±20 %, so that clients do not come back in step. */
export function pause(n: number): number {
  return Math.min(1000, 10 * 2 ** n) * (0.8 + 0.4 * Math.random());
}

/** Runs `attempt` until it succeeds, throws something that another try cannot mend, or time is up. */
export async function retrying<T>(
  attempt: () => Promise<T>,
  { deadline = Number.POSITIVE_INFINITY, signal, longest = 1200, also, failed }: RetryOptions,
): Promise<T> {
  for (let n = 1; ; n++) {
    checkOpen(signal);
    try {
      return await attempt();
    } catch (thrown) {
      if (!isRetriable(thrown) && also?.(thrown) !== true) throw thrown;
      failed?.(thrown);
      const wait = Math.min(pause(n), longest);
      if (Date.now() + wait > deadline) throw thrown;
      await sleep(wait, undefined, signal === undefined ? {} : { signal }).catch(() => undefined);
    }
  }
}

export function checkOpen(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw new KeyfoldError("log-closed", "The log is closed.", { remedy: "fatal" });
}
