import { compareUtf8, SortedKeys, sortUtf8 } from "./sorted-keys.ts";
import type { StoreWrite } from "./store.ts";

/** A range whose entries are dropped: from <= key < to. */
interface Drop {
  readonly from: string;
  readonly to: string;
}

/**
 * Serialized writes on their way to the engine, which hears of them only once the log has them. Later writes of a key
 * replace earlier ones; dropped ranges come before all writes kept here.
 */
export class StagedWrites {
  readonly #writes = new Map<string, StoreWrite>();
  readonly #sorted = new SortedKeys(compareUtf8);
  #drops: Drop[] = [];
  #bytes = 0;

  get size(): number {
    return this.#writes.size;
  }

  get empty(): boolean {
    return this.#writes.size === 0 && this.#drops.length === 0;
  }

  /** Bytes of keys and values held. */
  get bytes(): number {
    return this.#bytes;
  }

  get drops(): readonly Drop[] {
    return this.#drops;
  }

  /** Undefined: nothing staged for the key. A staged deletion has a value of undefined. */
  get(key: string): StoreWrite | undefined {
    return this.#writes.get(key);
  }

  /** Whether a dropped range takes away what lies below for this key. */
  covers(key: string): boolean {
    for (const { from, to } of this.#drops) if (compareUtf8(key, from) >= 0 && compareUtf8(key, to) < 0) return true;
    return false;
  }

  set(key: string, write: StoreWrite): void {
    const before = this.#writes.get(key);
    if (before === undefined) this.#sorted.add(key);
    else this.#bytes -= weight(before);
    this.#bytes += weight(write);
    this.#writes.set(key, write);
  }

  drop(from: string, to: string): void {
    for (const [key, write] of this.#writes) {
      if (compareUtf8(key, from) < 0 || compareUtf8(key, to) >= 0) continue;
      this.#writes.delete(key);
      this.#bytes -= weight(write);
    }
    this.#sorted.clear();
    this.#drops.push({ from, to });
  }

  /** Puts a later generation on top of this one. */
  absorb(later: StagedWrites): void {
    for (const { from, to } of later.#drops) this.drop(from, to);
    for (const [key, write] of later.#writes) this.set(key, write);
  }

  /** All writes, sorted by key bytes. */
  sorted(): StoreWrite[] {
    return sortUtf8([...this.#writes.keys()]).map((key) => this.#writes.get(key) as StoreWrite);
  }

  /** Copies of the staged entries in a range, in order. */
  range(from: string | undefined, to: string | undefined, reverse: boolean): [key: string, write: StoreWrite][] {
    if (this.#writes.size === 0) return [];
    if (!this.#sorted.active) this.#sorted.fill(this.#writes.keys());
    const found: [string, StoreWrite][] = [];
    for (const key of this.#sorted.range(from, to, reverse)) found.push([key, this.#writes.get(key) as StoreWrite]);
    return found;
  }

  clear(): void {
    this.#writes.clear();
    this.#sorted.clear();
    this.#drops = [];
    this.#bytes = 0;
  }
}

function weight(write: StoreWrite): number {
  return write.key.length + (write.value === undefined ? 0 : write.value.length);
}
