/**
 * What a worker is doing this instant, in memory that the main thread can see even while user code spins: the watchdog's
 * source. Written for every record, so plain stores and no atomics: a late glimpse costs the watchdog one more look.
 */
const BUSY = 0;
const SEQUENCE = 1;
const TASK = 2;
const INPUT = 3;
const OFFSET = 4;
const BEAT = 5;
const UNSETTLED = 6;
const HELD = 7;
const CALL_TASK = 8;
const CALL_INPUT = 9;
const CALL_OFFSET = 10;
const CELLS = 11;

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
  /** Grows with every ping: the same for long means that the event loop is held up. */
  readonly beat: number;
  /** Promises of async user code that have not settled: their code may run at any time. */
  readonly unsettled: number;
  /** Of those, the calls that have not been given up. */
  readonly held: number;
  /** The call that began last, as `task`, `input` and `offset` above. */
  readonly call: { readonly task: number; readonly input: number; readonly offset: number };
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

  /** Runs work that is, or calls, user code. */
  during<T>(task: number, work: () => T): T {
    this.enter(task);
    try {
      return work();
    } finally {
      this.leave();
    }
  }

  beat(): void {
    this.#add(BEAT, 1);
  }

  get held(): number {
    return this.#cells[HELD] ?? 0;
  }

  /** An async call of user code has begun. */
  called(task: number, input: number, offset: number, work: Promise<unknown>): void {
    const cells = this.#cells;
    cells[CALL_TASK] = task;
    cells[CALL_INPUT] = input;
    cells[CALL_OFFSET] = offset;
    this.#add(HELD, 1);
    this.#add(UNSETTLED, 1);
    const settled = (): void => this.#add(UNSETTLED, -1);
    work.then(settled, settled);
  }

  /** An async call has ended, or was given up. */
  released(): void {
    this.#add(HELD, -1);
  }

  #add(cell: number, by: number): void {
    this.#cells[cell] = (this.#cells[cell] ?? 0) + by;
  }

  glimpse(): Glimpse {
    const cells = this.#cells;
    return {
      busy: cells[BUSY] === 1,
      sequence: cells[SEQUENCE] ?? 0,
      task: cells[TASK] ?? -1,
      input: cells[INPUT] ?? -1,
      offset: cells[OFFSET] ?? -1,
      beat: cells[BEAT] ?? 0,
      unsettled: cells[UNSETTLED] ?? 0,
      held: cells[HELD] ?? 0,
      call: { task: cells[CALL_TASK] ?? -1, input: cells[CALL_INPUT] ?? -1, offset: cells[CALL_OFFSET] ?? -1 },
    };
  }
}
