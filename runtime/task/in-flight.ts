/** The async reducer calls of one task that have not ended: bounded, and waited for before a commit. */
export class InFlight {
  readonly #max: number;
  readonly #promises = new Set<Promise<void>>();
  readonly #since = new Map<Promise<void>, number>();

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#promises.size;
  }

  get full(): boolean {
    return this.#promises.size >= this.#max;
  }

  /** `work` must not reject. */
  add(work: Promise<void>): void {
    const kept: Promise<void> = work.finally(() => {
      this.#promises.delete(kept);
      this.#since.delete(kept);
    });
    this.#promises.add(kept);
    this.#since.set(kept, performance.now());
  }

  /** Monotonic ms since the oldest call began; 0 when there is none. */
  oldest(): number {
    const first = this.#since.values().next();
    return first.done ? 0 : performance.now() - first.value;
  }

  async drain(): Promise<void> {
    while (this.#promises.size > 0) await Promise.race(this.#promises);
  }

  /** Resolves when one ends. */
  async next(): Promise<void> {
    if (this.#promises.size > 0) await Promise.race(this.#promises);
  }

  /** Gives up waiting: late results must not matter to the caller any more. */
  abandon(): void {
    this.#promises.clear();
    this.#since.clear();
  }
}
