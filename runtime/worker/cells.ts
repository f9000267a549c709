/**
 * What a worker is doing this instant, in memory that the main thread can see even while user code spins: the watchdog's
 * only source. Written for every record, so plain stores and no atomics: a late glimpse costs the watchdog one more look.
 */
const BUSY = 0;
const SEQUENCE = 1;
const TASK = 2;
const INPUT = 3;
const OFFSET = 4;
const CELLS = 8;

export interface Glimpse {
  /** In user code right now. */
  readonly busy: boolean;
  /** Grows with every record and phase: the same twice means stuck. */
  readonly sequence: number;
  /** Index of the task, by the worker's own numbering; -1 none. */
  readonly task: number;
  /** Index of the source partition among the task's inputs; -1 outside a record (flush, punctuation). */
  readonly input: number;
  readonly offset: number;
}

export class Cells {
  readonly buffer: SharedArrayBuffer;
  readonly #cells: Float64Array;
  #sequence = 0;

  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(CELLS * Float64Array.BYTES_PER_ELEMENT)) {
    this.buffer = buffer;
    this.#cells = new Float64Array(buffer);
  }

  enter(task: number): void {
    const cells = this.#cells;
    cells[TASK] = task;
    cells[INPUT] = -1;
    cells[OFFSET] = -1;
    cells[SEQUENCE] = ++this.#sequence;
    cells[BUSY] = 1;
  }

  record(input: number, offset: number): void {
    const cells = this.#cells;
    cells[INPUT] = input;
    cells[OFFSET] = offset;
    cells[SEQUENCE] = ++this.#sequence;
  }

  leave(): void {
    this.#cells[BUSY] = 0;
  }

  glimpse(): Glimpse {
    const cells = this.#cells;
    return {
      busy: cells[BUSY] === 1,
      sequence: cells[SEQUENCE] ?? 0,
      task: cells[TASK] ?? -1,
      input: cells[INPUT] ?? -1,
      offset: cells[OFFSET] ?? -1,
    };
  }
}
