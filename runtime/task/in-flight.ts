import { KeyfoldError } from "../errors.ts";
import type { TaskInput } from "./input.ts";
import type { TaskCells } from "./task-options.ts";

interface Call {
  readonly input: TaskInput;
  readonly offset: number;
  readonly since: number;
  readonly fail: (error: KeyfoldError) => void;
}

/** The async reducer calls of one task that have not ended: bounded, waited for before a commit, and given up when they hang. */
export class InFlight {
  readonly #max: number;
  readonly #cells: TaskCells | undefined;
  readonly #calls = new Map<Promise<void>, Call>();
  /** Called whenever one has ended. */
  onSettled: () => void = () => {};

  constructor(max: number, cells?: TaskCells) {
    this.#max = max;
    this.#cells = cells;
  }

  get size(): number {
    return this.#calls.size;
  }

  get full(): boolean {
    const cells = this.#cells;
    return this.#calls.size >= this.#max || (cells !== undefined && cells.cells.held > 0 && cells.alone());
  }

  /** Smallest offset of the input that is under way. */
  first(input: TaskInput): number | undefined {
    // In order of offsets.
    for (const call of this.#calls.values()) if (call.input === input) return call.offset;
    return undefined;
  }

  /** Runs `then` or `failed` when `work` has ended, or `failed` when it took too long. Neither may throw. */
  add(input: TaskInput, offset: number, work: Promise<void>, then: () => void, failed: (thrown: unknown) => void): void {
    const cells = this.#cells;
    cells?.cells.called(cells.index, input.index, offset, work);
    let fail: (error: KeyfoldError) => void = () => {};
    const expired = new Promise<never>((_resolve, reject) => {
      fail = reject;
    });
    const ended: Promise<void> = Promise.race([work, expired])
      .then(then, failed)
      .then(() => {
        this.#calls.delete(ended);
        cells?.cells.released();
        this.onSettled();
      });
    this.#calls.set(ended, { input, offset, since: performance.now(), fail });
  }

  /** Fails the calls that have run for longer than `limitMs`. Whatever they do later finds the task's signal aborted. */
  expire(limitMs: number): void {
    if (this.#calls.size === 0) return;
    const now = performance.now();
    for (const { since, fail } of this.#calls.values()) {
      if (now - since < limitMs) return;
      fail(
        new KeyfoldError("reducer-timeout", `an async reducer took longer than ${limitMs} ms (limits: reducer.timeout.ms)`, {
          details: { limitMs },
        }),
      );
    }
  }

  /** Waits for all, those that take longer than `limitMs` excepted: they fail. */
  async drain(limitMs = Number.POSITIVE_INFINITY): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    if (this.#calls.size > 0 && limitMs < Number.POSITIVE_INFINITY)
      timer = setInterval(() => this.expire(limitMs), Math.max(10, limitMs / 4));
    try {
      while (this.#calls.size > 0) await Promise.race(this.#calls.keys());
    } finally {
      clearInterval(timer);
    }
  }
}
