import type { Engine, StorePosition, StoreWrites } from "./store.ts";

/**
 * A quiet store's position is written again this often, ms: its age must never come near `delete.retention.ms`, and the
 * changelog must not be truncated past it while the store lives.
 */
const REFRESH_MS = 10_000;

/** Writes data and position together, and the position alone only now and then. */
export class PositionKeeper {
  readonly #engine: Engine;
  readonly #now: () => number;
  #stored: StorePosition | undefined;
  /** What is true now; the stored one may lag behind it in a quiet store. */
  #current: StorePosition | undefined;

  constructor(engine: Engine, now: () => number) {
    this.#engine = engine;
    this.#now = now;
    this.#stored = this.#current = engine.position();
  }

  get current(): StorePosition | undefined {
    return this.#current;
  }

  /** Offset of the next changelog record to apply. */
  get offset(): number {
    return this.#current?.offset ?? 0;
  }

  /** `offset` undefined: the changelog got nothing from this store, so that the position is still where it was, and true now. */
  write(writes: StoreWrites, offset: number | undefined): void {
    const reached = offset ?? this.#current?.offset;
    const position = reached === undefined ? undefined : { offset: reached, at: this.#now() };
    const due = position !== undefined && Math.abs(position.at - (this.#stored?.at ?? 0)) >= REFRESH_MS;
    if (writes.length > 0 || due) {
      this.#engine.write(writes, position);
      this.#stored = position ?? this.#stored;
    }
    this.#current = position ?? this.#current;
  }

  /** Brings the stored position up to date, at close. */
  settle(): void {
    const current = this.#current;
    if (current === undefined || (current.offset === this.#stored?.offset && current.at === this.#stored.at)) return;
    this.#engine.write([], current);
    this.#stored = current;
  }
}
