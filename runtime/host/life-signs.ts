import type { Glimpse } from "../worker/cells.ts";

/** The watchdog looks twice a second and more; when it comes so late, ms, the whole process stood still, and no worker is to blame. */
export const LATE_MS = 2_000;

/** How long a worker has been in user code without a sign of life, by looking again and again. */
export class LifeSigns {
  #since = 0;
  #sequence = -1;
  #beat = -1;
  #looked = 0;

  /** `called`: async user code is under way, so that the event loop must turn. Time in ms, as for `now`. */
  stuckFor(now: number, { busy, sequence, beat }: Glimpse, called: boolean): number {
    const late = now - this.#looked > LATE_MS;
    this.#looked = now;
    if (late || (!busy && !called) || sequence !== this.#sequence || beat !== this.#beat) {
      this.#sequence = sequence;
      this.#beat = beat;
      this.#since = now;
      return 0;
    }
    return now - this.#since;
  }
}
