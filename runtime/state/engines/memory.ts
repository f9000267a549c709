import { type FastBuffer, fastBuffer } from "../../log/fast-buffer.ts";
import { compareUnits, SortedKeys } from "../sorted-keys.ts";
import type { StateStore, StoreContext, StorePosition, StoreWrites } from "../store.ts";
import { storeClosed } from "../store-errors.ts";

/** Keeps everything in this thread's memory; after a restart the changelog brings it back. */
export class MemoryEngine implements StateStore {
  readonly persistent = false;
  /** Values by key, the key's bytes as a latin1 string: such strings compare as the bytes do. */
  readonly #entries = new Map<string, Uint8Array>();
  readonly #sorted = new SortedKeys(compareUnits);
  readonly #open = new Set<MemoryIterator>();
  #context: StoreContext | undefined;
  #position: StorePosition | undefined;

  async open(context: StoreContext): Promise<void> {
    this.#context = context;
  }

  get(key: Uint8Array): Uint8Array | undefined {
    this.#mustBeOpen();
    return this.#entries.get(toText(key));
  }

  getMany(keys: readonly Uint8Array[]): (Uint8Array | undefined)[] {
    this.#mustBeOpen();
    return keys.map((key) => this.#entries.get(toText(key)));
  }

  range(from: Uint8Array | undefined, to: Uint8Array | undefined, reverse = false): IterableIterator<readonly [Uint8Array, Uint8Array]> {
    this.#mustBeOpen();
    if (!this.#sorted.active) this.#sorted.fill(this.#entries.keys());
    const keys = this.#sorted.range(from && toText(from), to && toText(to), reverse);
    return new MemoryIterator(keys, this.#entries, this.#open);
  }

  write(writes: StoreWrites, position: StorePosition | undefined): void {
    this.#mustBeOpen();
    this.#detachIterators();
    for (const { key, value } of writes) {
      const text = toText(key);
      if (value === undefined) {
        if (this.#entries.delete(text)) this.#sorted.remove(text);
      } else {
        const before = this.#entries.size;
        // Own memory: the caller's bytes may be a view into a larger buffer.
        this.#entries.set(text, Buffer.from(value));
        if (this.#entries.size > before) this.#sorted.add(text);
      }
    }
    if (position !== undefined) this.#position = position;
  }

  dropRange(from: Uint8Array, to: Uint8Array): void {
    this.#mustBeOpen();
    this.#detachIterators();
    const low = toText(from);
    const high = toText(to);
    for (const key of this.#entries.keys()) if (key >= low && key < high) this.#entries.delete(key);
    this.#sorted.clear();
  }

  position(): StorePosition | undefined {
    return this.#position;
  }

  approximateEntries(): number {
    return this.#entries.size;
  }

  async close(): Promise<void> {
    this.#context = undefined;
    this.#entries.clear();
    this.#sorted.clear();
    this.#open.clear();
    this.#position = undefined;
  }

  #mustBeOpen(): void {
    if (this.#context === undefined) throw storeClosed(undefined);
  }

  /** Iterators show the store of the moment they were made: before it changes, each takes along what it has yet to show. */
  #detachIterators(): void {
    if (this.#open.size === 0) return;
    for (const iterator of this.#open) iterator.detach();
    this.#open.clear();
  }
}

class MemoryIterator implements IterableIterator<readonly [Uint8Array, Uint8Array]> {
  #keys: IterableIterator<string>;
  #entries: Map<string, Uint8Array>;
  readonly #registry: Set<MemoryIterator>;

  constructor(keys: IterableIterator<string>, entries: Map<string, Uint8Array>, registry: Set<MemoryIterator>) {
    this.#keys = keys;
    this.#entries = entries;
    this.#registry = registry;
    registry.add(this);
  }

  detach(): void {
    const rest = new Map<string, Uint8Array>();
    for (const key of this.#keys) rest.set(key, this.#entries.get(key) as Uint8Array);
    this.#entries = rest;
    this.#keys = rest.keys();
  }

  next(): IteratorResult<readonly [Uint8Array, Uint8Array]> {
    const step = this.#keys.next();
    if (step.done === true) return this.return();
    return { done: false, value: [Buffer.from(step.value, "latin1"), this.#entries.get(step.value) as Uint8Array] };
  }

  return(): IteratorResult<readonly [Uint8Array, Uint8Array]> {
    this.#registry.delete(this);
    this.#keys = [].values();
    return { done: true, value: undefined };
  }

  [Symbol.iterator](): this {
    return this;
  }
}

function toText(key: Uint8Array): string {
  const buffer: FastBuffer = fastBuffer(Buffer.isBuffer(key) ? key : Buffer.from(key.buffer, key.byteOffset, key.byteLength));
  return buffer.latin1Slice(0, buffer.length);
}
