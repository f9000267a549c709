import type { RocksLevel, RowIterator } from "rocksdb";
import type { IteratorRegistry } from "../iterators.ts";
import type { StoreContext } from "../store.ts";
import { RocksIterator } from "./rocksdb-iterator.ts";

const ENCODING = { keyEncoding: "buffer", valueEncoding: "buffer" } as const;
/** Bytes of one chunk: values may be large. */
const CHUNK_BYTES = 1024 * 1024;

/**
 * The iterators of one database. Making a native one takes RocksDB longer (8 µs) than finding a place in it (4 µs), and the
 * database only changes at commits: so one without bounds is kept between two changes and used for one range after another.
 */
export class RocksIterators {
  readonly #db: RocksLevel;
  readonly #context: StoreContext;
  readonly #registry: IteratorRegistry;
  readonly #now: () => number;
  readonly #wrap: (thrown: unknown) => Error;
  readonly #open = new Set<RocksIterator>();
  /** Shows the database as it is since the last change; undefined while it is lent or not made yet. */
  #spare: RowIterator | undefined;
  /** Grows with each change: a native iterator from before one is not kept. */
  #generation = 0;

  constructor(db: RocksLevel, context: StoreContext, registry: IteratorRegistry, now: () => number, wrap: (thrown: unknown) => Error) {
    this.#db = db;
    this.#context = context;
    this.#registry = registry;
    this.#now = now;
    this.#wrap = wrap;
  }

  range(from: Uint8Array | undefined, to: Uint8Array | undefined, reverse: boolean): RocksIterator {
    const start = from !== undefined && from.length > 0 ? from : undefined;
    if (start !== undefined && !reverse) return this.#seek(start, to);
    const bounds = { ...(start === undefined ? {} : { gte: start }), ...(to === undefined ? {} : { lt: to }) };
    const native = this.#db._iterator({ ...bounds, reverse, ...ENCODING, highWaterMarkBytes: CHUNK_BYTES });
    return this.#show(native, undefined, () => this.#end(native));
  }

  /** The database is about to change: later ranges must see it. */
  changed(): void {
    this.#generation++;
    if (this.#spare !== undefined) this.#end(this.#spare);
    this.#spare = undefined;
  }

  /** A native iterator must not outlive its database. */
  close(): void {
    for (const iterator of this.#open) iterator.close();
    this.changed();
  }

  #seek(from: Uint8Array, to: Uint8Array | undefined): RocksIterator {
    const native = this.#spare ?? this.#db._iterator({ ...ENCODING, highWaterMarkBytes: CHUNK_BYTES });
    this.#spare = undefined;
    const generation = this.#generation;
    native._seekSync(from);
    return this.#show(native, to, () => {
      if (generation === this.#generation && this.#spare === undefined) this.#spare = native;
      else this.#end(native);
    });
  }

  #end(native: RowIterator): void {
    native._closeSync();
    this.#db.detachResource(native);
  }

  #show(native: RowIterator, to: Uint8Array | undefined, giveBack: () => void): RocksIterator {
    const open = this.#open;
    const source = {
      native,
      to,
      done(iterator: RocksIterator): void {
        open.delete(iterator);
        giveBack();
      },
      wrap: this.#wrap,
    };
    const { store, task } = this.#context;
    const iterator = new RocksIterator(source, { store, task, since: this.#now() }, this.#registry);
    if (iterator.open) open.add(iterator);
    return iterator;
  }
}
