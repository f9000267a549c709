import { KeyTable, NO_CELL } from "./key-table.ts";
import { NONE, type RecordCache } from "./record-cache.ts";
import { textHash } from "./text-hash.ts";

/** Which slots of the record cache are one store's, by their keys. */
export class SlotIndex {
  readonly #cache: RecordCache;
  readonly #table = new KeyTable();

  constructor(cache: RecordCache) {
    this.#cache = cache;
  }

  get size(): number {
    return this.#table.size;
  }

  /** The key's slot; NONE. */
  find(key: string): number {
    const table = this.#table;
    const hash = textHash(key);
    for (let cell = table.seek(hash); cell !== NO_CELL; cell = table.next(cell, hash)) {
      const slot = table.entryAt(cell);
      if (this.#cache.keyOf(slot) === key) return slot;
    }
    return NONE;
  }

  /** The key must have none. */
  insert(key: string, slot: number): void {
    this.#table.insert(textHash(key), slot);
  }

  remove(key: string, slot: number): void {
    const table = this.#table;
    const hash = textHash(key);
    let cell = table.seek(hash);
    while (table.entryAt(cell) !== slot) cell = table.next(cell, hash);
    table.remove(cell);
  }

  /** All slots, in no order. */
  all(): number[] {
    return [...this.#table.entries()];
  }

  clear(): void {
    this.#table.clear();
  }
}
