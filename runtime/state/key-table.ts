/** No cell. */
export const NO_CELL = -1;

const LEAST_CELLS = 256;
/** Beyond so many, memory is let go of with the entries. */
const KEPT_CELLS = 2 ** 17;

/**
 * Numbers of entries by the hashes of their keys, in one array: open addressing, at most half full. Whoever has the keys compares
 * them:
 *
 *   for (let cell = table.seek(hash); cell !== NO_CELL; cell = table.next(cell, hash)) if (keys[table.entryAt(cell)] === key) …
 *
 * (Not a Map: once the table of one is old, V8 makes every later one old too, and what hangs on the dead ones stays until the next
 * full collection. And a miss costs a Map as many lines of the processor's cache as there are keys in its chain, this one a line.)
 */
export class KeyTable {
  /** Of each cell: number of the entry + 1 or 0 for none, and the hash. Cells are counted by the place of the first. */
  #cells = new Int32Array(2 * LEAST_CELLS);
  /** Takes a cell's place round the end. */
  #mask = 2 * LEAST_CELLS - 1;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** The first cell with this hash. */
  seek(hash: number): number {
    return this.#scan((hash << 1) & this.#mask, hash);
  }

  /** The next one with it. */
  next(cell: number, hash: number): number {
    return this.#scan((cell + 2) & this.#mask, hash);
  }

  entryAt(cell: number): number {
    return (this.#cells[cell] as number) - 1;
  }

  /** The key must not be there. */
  insert(hash: number, entry: number): void {
    if (++this.#size * 4 > this.#cells.length) this.#grow();
    this.#place(hash, entry + 1);
  }

  remove(cell: number): void {
    const cells = this.#cells;
    const mask = this.#mask;
    let free = cell;
    // What comes after would not be found behind a gap: whatever may stand in it moves up.
    for (let at = (cell + 2) & mask; cells[at] !== 0; at = (at + 2) & mask) {
      const home = ((cells[at + 1] as number) << 1) & mask;
      if (((at - home) & mask) < ((at - free) & mask)) continue;
      cells[free] = cells[at] as number;
      cells[free + 1] = cells[at + 1] as number;
      free = at;
    }
    cells[free] = 0;
    this.#size--;
  }

  /** All entries, in no order; to be read before the next change. */
  *entries(): Iterable<number> {
    for (let cell = 0; cell < this.#cells.length; cell += 2) if (this.#cells[cell] !== 0) yield this.entryAt(cell);
  }

  clear(): void {
    if (this.#size === 0) return;
    this.#size = 0;
    if (this.#cells.length <= 2 * KEPT_CELLS) this.#cells.fill(0);
    else this.#resize(2 * LEAST_CELLS);
  }

  #scan(from: number, hash: number): number {
    const cells = this.#cells;
    const mask = this.#mask;
    for (let at = from; cells[at] !== 0; at = (at + 2) & mask) if (cells[at + 1] === hash) return at;
    return NO_CELL;
  }

  #place(hash: number, mark: number): void {
    const cells = this.#cells;
    const mask = this.#mask;
    let at = (hash << 1) & mask;
    while (cells[at] !== 0) at = (at + 2) & mask;
    cells[at] = mark;
    cells[at + 1] = hash;
  }

  #grow(): void {
    const before = this.#cells;
    this.#resize(before.length * 2);
    for (let at = 0; at < before.length; at += 2) if (before[at] !== 0) this.#place(before[at + 1] as number, before[at] as number);
  }

  #resize(length: number): void {
    this.#cells = new Int32Array(length);
    this.#mask = length - 1;
  }
}
