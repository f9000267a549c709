import type { CompareKeys } from "./sorted-keys.ts";

/**
 * Lays `over` (entries in order, undefined = deleted) on top of `under` (in the same order) and closes `under` when it is
 * given up. Where `over` is empty, `under` is returned as it is.
 */
export function mergeOver<T>(
  over: readonly (readonly [key: string, value: T | undefined])[],
  under: IterableIterator<[key: string, value: T]>,
  compare: CompareKeys,
): IterableIterator<[key: string, value: T]> {
  return over.length === 0 ? under : new Merged(over, under, compare);
}

class Merged<T> implements IterableIterator<[string, T]> {
  readonly #over: readonly (readonly [string, T | undefined])[];
  readonly #under: IterableIterator<[string, T]>;
  readonly #compare: CompareKeys;
  #at = 0;
  #ahead: IteratorResult<[string, T]> | undefined;

  constructor(over: readonly (readonly [string, T | undefined])[], under: IterableIterator<[string, T]>, compare: CompareKeys) {
    this.#over = over;
    this.#under = under;
    this.#compare = compare;
  }

  next(): IteratorResult<[string, T]> {
    for (;;) {
      this.#ahead ??= this.#under.next();
      const below = this.#ahead;
      const above = this.#over[this.#at];
      if (above === undefined) {
        this.#ahead = undefined;
        return below.done === true ? this.return() : below;
      }
      const order = below.done === true ? -1 : this.#compare(above[0], below.value[0]);
      if (order > 0) {
        this.#ahead = undefined;
        return below;
      }
      this.#at++;
      if (order === 0) this.#ahead = undefined;
      if (above[1] !== undefined) return { done: false, value: [above[0], above[1]] };
    }
  }

  return(): IteratorResult<[string, T]> {
    this.#at = this.#over.length;
    this.#ahead = { done: true, value: undefined };
    this.#under.return?.();
    return { done: true, value: undefined };
  }

  [Symbol.iterator](): this {
    return this;
  }
}

/** Turns each entry into another, or leaves it out (undefined); closes the source when given up. */
export function mapEntries<A, B>(source: IterableIterator<A>, map: (entry: A) => B | undefined): IterableIterator<B> {
  return {
    next(): IteratorResult<B> {
      for (;;) {
        const step = source.next();
        if (step.done === true) return { done: true, value: undefined };
        const mapped = map(step.value);
        if (mapped !== undefined) return { done: false, value: mapped };
      }
    },
    return(): IteratorResult<B> {
      source.return?.();
      return { done: true, value: undefined };
    },
    [Symbol.iterator]() {
      return this;
    },
  };
}
