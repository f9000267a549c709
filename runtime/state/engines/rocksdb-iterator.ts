import type { RowIterator } from "rocksdb";
import type { IteratorRegistry, OpenIterator } from "../iterators.ts";
import { storeClosed } from "../store-errors.ts";

/** Rows of the first read, and of each one after it: a short range costs one short call. */
const FIRST_ROWS = 32;
const MORE_ROWS = 512;

/**
 * Reads a RocksDB iterator in chunks. The first chunk is read at once, so that a short range holds nothing open; a longer
 * one is registered until it ends, is given up (`return`), or its store closes.
 */
export class RocksIterator implements IterableIterator<readonly [Uint8Array, Uint8Array]>, OpenIterator {
  readonly store: string;
  readonly task: string;
  readonly since: number;
  readonly #wrap: (thrown: unknown) => Error;
  readonly #own: Set<RocksIterator>;
  readonly #registry: IteratorRegistry;
  #native: RowIterator | undefined;
  #rows: Buffer[] = [];
  #at = 0;
  #cut = false;

  constructor(
    native: RowIterator,
    about: { store: string; task: string; since: number },
    [own, registry]: [Set<RocksIterator>, IteratorRegistry],
    wrap: (thrown: unknown) => Error,
  ) {
    this.store = about.store;
    this.task = about.task;
    this.since = about.since;
    this.#native = native;
    this.#own = own;
    this.#registry = registry;
    this.#wrap = wrap;
    this.#read(FIRST_ROWS);
    if (this.#native !== undefined) {
      own.add(this);
      registry.add(this);
    }
  }

  next(): IteratorResult<readonly [Uint8Array, Uint8Array]> {
    if (this.#at >= this.#rows.length) {
      if (this.#cut) throw storeClosed(this);
      if (this.#native === undefined) return { done: true, value: undefined };
      this.#read(MORE_ROWS);
      if (this.#rows.length === 0) return { done: true, value: undefined };
    }
    const key = this.#rows[this.#at++] as Buffer;
    const value = this.#rows[this.#at++] as Buffer;
    return { done: false, value: [key, value] };
  }

  return(): IteratorResult<readonly [Uint8Array, Uint8Array]> {
    this.#rows = [];
    this.#cut = false;
    this.#end();
    return { done: true, value: undefined };
  }

  /** Its store closes: what was read already may still be had, the rest is an error. */
  close(): void {
    if (this.#native !== undefined) this.#cut = true;
    this.#end();
  }

  [Symbol.iterator](): this {
    return this;
  }

  #read(count: number): void {
    const native = this.#native as RowIterator;
    try {
      const { rows, finished } = native._nextvSync(count, {});
      this.#rows = rows;
      this.#at = 0;
      if (finished) this.#end();
    } catch (thrown) {
      this.#rows = [];
      this.#end();
      throw this.#wrap(thrown);
    }
  }

  #end(): void {
    if (this.#native === undefined) return;
    this.#native._closeSync();
    this.#native = undefined;
    this.#own.delete(this);
    this.#registry.remove(this);
  }
}
