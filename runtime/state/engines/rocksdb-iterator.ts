import type { RowIterator } from "rocksdb";
import type { IteratorRegistry, OpenIterator } from "../iterators.ts";
import { storeClosed } from "../store-errors.ts";

/** Rows of the first read; each one after it takes eight times as many, up to the most. A row read for nothing costs 1 µs. */
const FIRST_ROWS = 4;
const MOST_ROWS = 512;

/** Where a RocksIterator gets its native one from, and what it tells when it is done. */
export interface NativeSource {
  readonly native: RowIterator;
  /** Where the native iterator has no bound of its own: rows from here on are not shown. */
  readonly to: Uint8Array | undefined;
  /** Takes the native iterator back. */
  done(iterator: RocksIterator): void;
  wrap(thrown: unknown): Error;
}

/**
 * Reads a RocksDB iterator in chunks. The first chunk is read at once, so that a short range holds nothing open; a longer
 * one is registered until it ends, is given up (`return`), or its store closes.
 */
export class RocksIterator implements IterableIterator<readonly [Uint8Array, Uint8Array]>, OpenIterator {
  readonly store: string;
  readonly task: string;
  readonly since: number;
  readonly #registry: IteratorRegistry;
  #source: NativeSource | undefined;
  #rows: Buffer[] = [];
  #at = 0;
  #chunk = FIRST_ROWS;
  #cut = false;

  constructor(source: NativeSource, about: { store: string; task: string; since: number }, registry: IteratorRegistry) {
    this.store = about.store;
    this.task = about.task;
    this.since = about.since;
    this.#source = source;
    this.#registry = registry;
    this.#read(source);
    if (this.#source !== undefined) registry.add(this);
  }

  /** Whether a native iterator is in use. */
  get open(): boolean {
    return this.#source !== undefined;
  }

  next(): IteratorResult<readonly [Uint8Array, Uint8Array]> {
    if (this.#at >= this.#rows.length) {
      if (this.#cut) throw storeClosed(this);
      if (this.#source === undefined) return { done: true, value: undefined };
      this.#read(this.#source);
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
    if (this.#source !== undefined) this.#cut = true;
    this.#end();
  }

  [Symbol.iterator](): this {
    return this;
  }

  #read(source: NativeSource): void {
    try {
      const { rows, finished } = source.native._nextvSync(this.#chunk, {});
      this.#chunk = Math.min(this.#chunk * 8, MOST_ROWS);
      this.#rows = rows;
      this.#at = 0;
      if (source.to !== undefined && this.#cutAt(source.to)) this.#end();
      else if (finished) this.#end();
    } catch (thrown) {
      this.#rows = [];
      this.#end();
      throw source.wrap(thrown);
    }
  }

  /** Drops the rows from `to` on; whether there were any. */
  #cutAt(to: Uint8Array): boolean {
    const rows = this.#rows;
    if (rows.length === 0 || Buffer.compare(rows[rows.length - 2] as Buffer, to) < 0) return false;
    let end = 0;
    while (Buffer.compare(rows[end] as Buffer, to) < 0) end += 2;
    rows.length = end;
    return true;
  }

  #end(): void {
    const source = this.#source;
    if (source === undefined) return;
    this.#source = undefined;
    this.#registry.remove(this);
    source.done(this);
  }
}
