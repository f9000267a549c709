/** Order of keys: negative, zero, positive. */
export type CompareKeys = (a: string, b: string) => number;

/** Order of UTF-16 code units: JavaScript's own. */
export function compareUnits(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/**
 * Order of the strings' UTF-8 bytes, which is the order of code points. It differs from JavaScript's own only where a
 * surrogate meets a unit above the surrogates.
 */
export function compareUtf8(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return x >= 0xd800 && y >= 0xd800 ? rank(x) - rank(y) : x - y;
  }
  return a.length - b.length;
}

/** Surrogates stand for code points above all other units. */
function rank(unit: number): number {
  return unit < 0xe000 ? unit + 0x10000 : unit;
}

/** Sorts strings in place by their UTF-8 bytes. */
export function sortUtf8(keys: string[]): string[] {
  for (const key of keys) if (WIDE.test(key)) return keys.sort(compareUtf8);
  return keys.sort();
}

/** Sorts strings in place by their UTF-8 bytes and leaves out those that are there already. */
export function distinctUtf8(keys: string[]): string[] {
  sortUtf8(keys);
  let kept = 0;
  for (let i = 0; i < keys.length; i++) if (i === 0 || keys[i] !== keys[i - 1]) keys[kept++] = keys[i] as string;
  keys.length = kept;
  return keys;
}

const WIDE = /[\ud800-\uffff]/;

/** The smallest string above all that begin with `prefix`, in the order of UTF-8 bytes; undefined when there is none. */
export function prefixEnd(prefix: string): string | undefined {
  const points = Array.from(prefix, (point) => point.codePointAt(0) as number);
  while (points.length > 0) {
    const last = points.pop() as number;
    if (last < 0x10ffff) return String.fromCodePoint(...points, last === 0xd7ff ? 0xe000 : last + 1);
  }
  return undefined;
}

const BLOCK = 512;

/**
 * Keys in order, in blocks, so that adding one moves few. Empty and idle until `fill`: stores whose ranges nobody reads pay
 * nothing for it.
 */
export class SortedKeys {
  readonly #compare: CompareKeys;
  #blocks: string[][] = [];
  #active = false;

  constructor(compare: CompareKeys) {
    this.#compare = compare;
  }

  get active(): boolean {
    return this.#active;
  }

  fill(keys: Iterable<string>): void {
    const all = Array.from(keys);
    if (this.#compare === compareUtf8) sortUtf8(all);
    else all.sort();
    this.#blocks = [];
    for (let i = 0; i < all.length; i += BLOCK / 2) this.#blocks.push(all.slice(i, i + BLOCK / 2));
    this.#active = true;
  }

  clear(): void {
    this.#blocks = [];
    this.#active = false;
  }

  /** Adds a key that is not there yet. */
  add(key: string): void {
    if (!this.#active) return;
    const at = this.#blockOf(key);
    const block = this.#blocks[at];
    if (block === undefined) {
      this.#blocks.push([key]);
      return;
    }
    block.splice(this.#lowerBound(block, key), 0, key);
    if (block.length > BLOCK) this.#blocks.splice(at + 1, 0, block.splice(BLOCK / 2));
  }

  remove(key: string): void {
    if (!this.#active) return;
    const at = this.#blockOf(key);
    const block = this.#blocks[at];
    if (block === undefined) return;
    const i = this.#lowerBound(block, key);
    if (block[i] !== key) return;
    block.splice(i, 1);
    if (block.length === 0) this.#blocks.splice(at, 1);
  }

  /** Keys with from <= key < to; not to be read on after a change. */
  *range(from: string | undefined, to: string | undefined, reverse: boolean): IterableIterator<string> {
    if (reverse) {
      yield* this.#backwards(from, to);
      return;
    }
    let at = from === undefined ? 0 : this.#blockOf(from);
    let i = from === undefined ? 0 : this.#lowerBound(this.#blocks[at] ?? [], from);
    for (; at < this.#blocks.length; at++, i = 0) {
      const block = this.#blocks[at] as string[];
      for (; i < block.length; i++) {
        const key = block[i] as string;
        if (to !== undefined && this.#compare(key, to) >= 0) return;
        yield key;
      }
    }
  }

  *#backwards(from: string | undefined, to: string | undefined): IterableIterator<string> {
    let at = to === undefined ? this.#blocks.length - 1 : Math.min(this.#blockOf(to), this.#blocks.length - 1);
    let i = to === undefined ? (this.#blocks[at]?.length ?? 0) - 1 : this.#lowerBound(this.#blocks[at] ?? [], to) - 1;
    for (; at >= 0; at--, i = (this.#blocks[at]?.length ?? 0) - 1) {
      const block = this.#blocks[at] as string[];
      for (; i >= 0; i--) {
        const key = block[i] as string;
        if (from !== undefined && this.#compare(key, from) < 0) return;
        yield key;
      }
    }
  }

  /** The last block that begins at or before the key. */
  #blockOf(key: string): number {
    let low = 0;
    let high = this.#blocks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#compare((this.#blocks[middle] as string[])[0] as string, key) <= 0) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, low - 1);
  }

  #lowerBound(block: readonly string[], key: string): number {
    let low = 0;
    let high = block.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#compare(block[middle] as string, key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
