import { fastBuffer } from "../log/fast-buffer.ts";
import { BatchBuilder, decodeBatches, keyText } from "../log/record-batch.ts";
import { LastWrites } from "./last-rows.ts";
import { compareUtf8, SortedKeys } from "./sorted-keys.ts";
import { StagedIndex } from "./staged-index.ts";
import type { StoreWrites } from "./store.ts";

/** A range whose entries are dropped: from <= key < to. */
interface Drop {
  readonly from: string;
  readonly to: string;
}

/**
 * Serialized writes on their way to the engine, which hears of them only once the log has them: the records of a batch, the same
 * one that goes to the changelog. No object is kept per write. Later writes of a key replace earlier ones; dropped ranges come
 * before all writes kept here.
 */
export class StagedWrites {
  readonly #records: BatchBuilder;
  /** Made when somebody reads. */
  readonly #index: StagedIndex;
  #indexed = false;
  readonly #sorted = new SortedKeys(compareUtf8);
  #drops: Drop[] = [];

  /** `maxBatchBytes`: size at which a batch of the changelog ends and another begins. Default: the builder's. */
  constructor(maxBatchBytes?: number) {
    this.#records = new BatchBuilder(maxBatchBytes === undefined ? {} : { maxBatchBytes });
    this.#index = new StagedIndex(this.#records);
  }

  /** Records; a key that was written twice has two. */
  get size(): number {
    return this.#records.count;
  }

  get empty(): boolean {
    return this.#records.count === 0 && this.#drops.length === 0;
  }

  /** Bytes held. */
  get bytes(): number {
    return this.#records.bytes;
  }

  get drops(): readonly Drop[] {
    return this.#drops;
  }

  /** Undefined: nothing staged for the key; null: a deletion. The bytes are good until the next change. */
  get(key: string): Uint8Array | null | undefined {
    const at = this.#keys().get(key);
    return at === undefined ? undefined : this.#records.valueAt(at);
  }

  /** Whether a dropped range takes away what lies below for this key. */
  covers(key: string): boolean {
    for (const { from, to } of this.#drops) if (compareUtf8(key, from) >= 0 && compareUtf8(key, to) < 0) return true;
    return false;
  }

  /** The value is bytes [from, to) of `bytes`, which are copied; null deletes. */
  set(key: string, bytes: Uint8Array | null, from: number, to: number, timestamp: number): void {
    const at = this.#records.appendPart(key, bytes, from, to, timestamp);
    if (!this.#indexed) return;
    if (this.#sorted.active && this.#index.get(key) === undefined) this.#sorted.add(key);
    this.#index.set(key, at);
  }

  drop(from: string, to: string): void {
    this.#keys().drop((key) => compareUtf8(key, from) >= 0 && compareUtf8(key, to) < 0);
    this.#sorted.clear();
    this.#drops.push({ from, to });
  }

  /** Puts a later generation on top of this one. */
  absorb(later: StagedWrites): void {
    for (const { from, to } of later.#drops) this.drop(from, to);
    for (const { key, value } of later.writes()) this.set(textOf(key), value ?? null, 0, value?.length ?? 0, 0);
  }

  /** The changelog's records, in memory of their own; undefined when there are none. */
  changelog(): { readonly data: Uint8Array; readonly count: number } | undefined {
    const { count } = this.#records;
    return count === 0 ? undefined : { data: this.#records.finish(), count };
  }

  /** The last write of each key, sorted by key bytes; to be read before the next change. */
  writes(): StoreWrites {
    if (this.#records.count === 0) return [];
    const batch = decodeBatches(this.#records.view());
    // A dropped key that was not written again since has its record still.
    return this.#drops.length === 0
      ? new LastWrites(batch)
      : new LastWrites(batch, 0, (key) => this.#keys().get(textOf(key)) !== undefined);
  }

  /** Copies of the staged entries in a range, in order. */
  range(from: string | undefined, to: string | undefined, reverse: boolean): [key: string, value: Uint8Array | undefined][] {
    if (this.#records.count === 0) return [];
    const index = this.#keys();
    if (!this.#sorted.active) this.#sorted.fill(index.keys());
    const found: [string, Uint8Array | undefined][] = [];
    for (const key of this.#sorted.range(from, to, reverse)) {
      const value = this.#records.valueAt(index.get(key) as number);
      found.push([key, value === null ? undefined : Buffer.from(value)]);
    }
    return found;
  }

  clear(): void {
    this.#records.reset();
    if (this.#indexed) this.#index.clear();
    this.#indexed = false;
    this.#sorted.clear();
    this.#drops = [];
  }

  #keys(): StagedIndex {
    if (this.#indexed) return this.#index;
    const batch = decodeBatches(this.#records.view());
    for (let row = 0; row < batch.length; row++) this.#index.set(keyText(batch, row) ?? "", batch.keyEnd[row] as number);
    this.#indexed = true;
    return this.#index;
  }
}

function textOf(key: Uint8Array): string {
  return fastBuffer(key as Buffer).utf8Slice(0, key.length);
}
