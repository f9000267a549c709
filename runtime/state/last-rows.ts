import type { RecordBatch } from "../log/record-batch.ts";
import type { StoreWrite, StoreWrites } from "./store.ts";

/** Bits of a number that is exact as a double: those of a key's first bytes above those of its row. */
const BITS = 53;
/** Up to so many, moving neighbours beats a general sort. */
const FEW = 24;

/**
 * The last row of each key among the rows of `batch` from `first` on, in the order of the keys' bytes; rows without a key are left
 * out. Keys are sorted as numbers, by the first bytes in which keys of the batch differ at all; only where those are the same are
 * keys compared. (Sorting the keys as text, in a Map, took a third of a restore.)
 */
export function lastRows(batch: RecordBatch, first: number): number[] {
  const { length, keyStart } = batch;
  const prefixBytes = length - first > 2 ** 21 ? 2 : 4;
  const step = 2 ** (BITS - 8 * prefixBytes);
  const skip = commonPrefix(batch, first);
  const order = new Float64Array(length - first);
  let count = 0;
  for (let row = first; row < length; row++) {
    if ((keyStart[row] as number) >= 0) order[count++] = prefixOf(batch, row, skip, prefixBytes) * step + (row - first);
  }
  const sorted = order.subarray(0, count).sort();
  const rows: number[] = [];
  for (let from = 0, to = 0; from < count; from = to) {
    const prefix = Math.floor((sorted[from] as number) / step);
    const base = prefix * step - first;
    const begin = rows.length;
    for (; to < count && (sorted[to] as number) - base < step + first; to++) rows.push((sorted[to] as number) - base);
    if (to - from > 1) sortTail(batch, rows, begin, skip);
  }
  return rows;
}

/**
 * The last write of each key, as `lastRows` has them, made one at a time: a write's bytes are good until the next one is asked for.
 * (All of them at once were most of what V8 had to take for long-lived.)
 */
export class LastWrites implements StoreWrites {
  readonly #batch: RecordBatch;
  readonly #rows: readonly number[];
  readonly #keys = new Pool();
  readonly #values = new Pool();

  constructor(batch: RecordBatch, first = 0, wanted?: (key: Uint8Array) => boolean) {
    this.#batch = batch;
    const rows = lastRows(batch, first);
    this.#rows = wanted === undefined ? rows : rows.filter((row) => wanted(batch.buffer.subarray(batch.keyStart[row], batch.keyEnd[row])));
  }

  get length(): number {
    return this.#rows.length;
  }

  get bytes(): number {
    return this.#batch.buffer.length;
  }

  *[Symbol.iterator](): Generator<StoreWrite> {
    const { buffer, keyStart, keyEnd, valueStart, valueEnd } = this.#batch;
    for (const row of this.#rows) {
      const start = valueStart[row] as number;
      yield {
        key: this.#keys.part(buffer, keyStart[row] as number, keyEnd[row] as number),
        value: start < 0 ? undefined : this.#values.part(buffer, start, valueEnd[row] as number),
      };
    }
  }
}

/** Up to so many bytes, copying is cheaper than another Buffer. */
const POOLED = 256;

/** Parts of a buffer, one at a time, each in a Buffer that was used before for one of its length. */
class Pool {
  readonly #memory = Buffer.allocUnsafeSlow(POOLED);
  readonly #byLength: Buffer[] = [];

  part(buffer: Buffer, from: number, to: number): Buffer {
    const length = to - from;
    if (length > POOLED) return buffer.subarray(from, to);
    const memory = this.#memory;
    for (let i = 0; i < length; i++) memory[i] = buffer[from + i] as number;
    return (this.#byLength[length] ??= memory.subarray(0, length));
  }
}

/** Rows from `begin` on have keys alike at first: puts them in order, and keeps the last row of each key. */
function sortTail(batch: RecordBatch, rows: number[], begin: number, skip: number): void {
  if (rows.length - begin > FEW) {
    const alike = rows.splice(begin).sort((a, b) => compareKeys(batch, a, b, skip) || a - b);
    for (const row of alike) rows.push(row);
  } else {
    for (let i = begin + 1; i < rows.length; i++) {
      const row = rows[i] as number;
      let at = i;
      for (; at > begin && compareKeys(batch, rows[at - 1] as number, row, skip) > 0; at--) rows[at] = rows[at - 1] as number;
      rows[at] = row;
    }
  }
  let kept = begin;
  for (let i = begin + 1; i < rows.length; i++) {
    if (compareKeys(batch, rows[kept] as number, rows[i] as number, skip) !== 0) kept++;
    rows[kept] = rows[i] as number;
  }
  rows.length = kept + 1;
}

/** How many bytes all keys have in common at their beginning. */
function commonPrefix({ buffer, length, keyStart, keyEnd }: RecordBatch, first: number): number {
  let common = -1;
  let model = 0;
  for (let row = first; row < length; row++) {
    const start = keyStart[row] as number;
    if (start < 0) continue;
    const bytes = (keyEnd[row] as number) - start;
    if (common < 0) {
      common = bytes;
      model = start;
    }
    if (bytes < common) common = bytes;
    for (let i = 0; i < common; i++) if (buffer[start + i] !== buffer[model + i]) common = i;
    if (common === 0) return 0;
  }
  return Math.max(common, 0);
}

function prefixOf({ buffer, keyStart, keyEnd }: RecordBatch, row: number, skip: number, bytes: number): number {
  const from = (keyStart[row] as number) + skip;
  const end = keyEnd[row] as number;
  let prefix = 0;
  for (let at = from; at < from + bytes; at++) prefix = prefix * 256 + (at < end ? (buffer[at] as number) : 0);
  return prefix;
}

/** By bytes from `skip` on, the shorter first. */
function compareKeys({ buffer, keyStart, keyEnd }: RecordBatch, a: number, b: number, skip: number): number {
  let p = (keyStart[a] as number) + skip;
  let q = (keyStart[b] as number) + skip;
  const endP = keyEnd[a] as number;
  const endQ = keyEnd[b] as number;
  for (; p < endP && q < endQ; p++, q++) {
    const difference = (buffer[p] as number) - (buffer[q] as number);
    if (difference !== 0) return difference;
  }
  return endP - p - (endQ - q);
}
