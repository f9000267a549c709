import { KeyfoldError } from "../errors.ts";
import type { WorkerStatus } from "../worker/messages.ts";
import { LATE_MS } from "./life-signs.ts";
import { within } from "./within.ts";

/** Pause between two questions, ms. */
const ASK_MS = 2_000;
/** A worker that has not answered for so long, ms, does not answer: no garbage collection and no compaction takes that long. */
export const SILENT_MS = 10_000;
/** A worker that has not said by then how it is, is taken to be as it was, ms. */
const STATUS_MS = 1_000;

/** `stale`: the worker has not answered just now, and this is what it said last. */
export type LastStatus = WorkerStatus & { readonly stale: boolean };

/** What a worker said of itself last. It is asked again and again, so that something is known of one that hangs, and that it does. */
export class LastWord {
  readonly #ask: () => Promise<WorkerStatus>;
  #status: WorkerStatus | undefined;
  /** Since when an answer is due, and whether one is. */
  #since = 0;
  #due = false;
  #looked = 0;
  #silent = false;

  constructor(ask: () => Promise<WorkerStatus>) {
    this.#ask = ask;
  }

  /** It has not answered for `SILENT_MS`. */
  get silent(): boolean {
    return this.#silent;
  }

  /**
   * Looks at how long an answer is due, and asks. `excused`: the thread is in user code, which has a limit of its own. A process that
   * stood still as a whole looks late, and has no one to blame. Time in ms, as for `now`.
   */
  look(now: number, excused: boolean): void {
    if (this.#due && (excused || now - this.#looked > LATE_MS)) this.#since = now;
    this.#looked = now;
    this.#silent = this.#due && now - this.#since >= SILENT_MS;
    if (this.#due || (this.#status !== undefined && now - this.#since < ASK_MS)) return;
    this.#due = true;
    this.#since = now;
    const answered = (): void => {
      this.#due = false;
      this.#silent = false;
    };
    // One that is being replaced has said nothing, and the next is asked.
    this.#heard(this.#ask()).then(answered, answered);
  }

  /** What it says now, or what it said last: one that is silent is not waited for. */
  async status(): Promise<LastStatus | undefined> {
    if (!this.#silent) {
      const late = (): KeyfoldError => new KeyfoldError("not-ready", "the worker does not say how it is", { remedy: "retry" });
      const status = await within(this.#heard(this.#ask()), STATUS_MS, late).catch(() => undefined);
      if (status !== undefined) return { ...status, stale: false };
    }
    return this.#status === undefined ? undefined : { ...this.#status, stale: true };
  }

  async #heard(answer: Promise<WorkerStatus>): Promise<WorkerStatus> {
    const status = await answer;
    this.#status = status;
    return status;
  }
}
