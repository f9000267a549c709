import { compact, isDirty } from "./compaction.ts";
import { lastOffsetOf } from "./keys.ts";
import type { EmbeddedMetrics } from "./metrics.ts";
import type { Partition } from "./partition.ts";
import { advanceStart, applyRetention, type CleanContext } from "./retention.ts";
import { isCompacted, isDeleted } from "./topics.ts";

export interface CleanerOptions extends Omit<CleanContext, "pause"> {
  readonly metrics: EmbeddedMetrics;
  /** Pause between two rounds, ms. */
  readonly intervalMs: number;
  partitions(): Iterable<Partition>;
}

/** Retention and compaction in the background, one partition at a time, in steps of a few milliseconds with the event loop in between. */
export class Cleaner {
  readonly #options: CleanerOptions;
  readonly #context: CleanContext;
  readonly #timer: NodeJS.Timeout;
  #last: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: CleanerOptions) {
    this.#options = options;
    this.#context = { ...options, pause: () => this.#pause() };
    this.#timer = setInterval(() => void this.clean(false).catch(() => undefined), options.intervalMs).unref();
  }

  /** One round over all partitions. `force`: compact also what is hardly dirty. */
  clean(force: boolean): Promise<void> {
    return this.#exclusive(async () => {
      for (const partition of [...this.#options.partitions()]) await this.#cleanOne(partition, force);
    });
  }

  /** Deletes the records of a partition below an offset. */
  deleteRecords(partition: Partition, before: number): Promise<void> {
    return this.#exclusive(async () => {
      const to = Math.min(before, partition.end);
      while (partition.start < to && !partition.deleted) {
        const { rows, finished } = this.#options.database.scan(partition.keys(partition.start, to), { bytes: 512 * 1024 });
        const last = rows.at(-2);
        await advanceStart(partition, finished || last === undefined ? to : lastOffsetOf(last) + 1, rows, this.#options);
      }
    });
  }

  /** Resolves when no step is under way any more; none will follow. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    await this.#last.catch(() => undefined);
  }

  async #cleanOne(partition: Partition, force: boolean): Promise<void> {
    const { metrics } = this.#options;
    if (isDeleted(partition.config)) metrics.batchesDeleted += await applyRetention(partition, this.#context);
    if (isCompacted(partition.config) && (force || isDirty(partition))) metrics.recordsCompacted += await compact(partition, this.#context);
    await this.#pause();
  }

  /** Changes of a partition's bounds happen one after another: each starts from what the one before has stored. */
  #exclusive(work: () => Promise<void>): Promise<void> {
    const run = this.#last.then(work, work).catch((thrown: unknown) => {
      if (!(thrown instanceof Stopped)) throw thrown;
    });
    this.#last = run.catch(() => undefined);
    return run;
  }

  async #pause(): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve));
    if (this.#stopped) throw new Stopped();
  }
}

/** Thrown between two steps when the log is closing; what is done stays done. */
class Stopped extends Error {}
