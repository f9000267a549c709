/** An iterator somebody is reading: which store, and since when (epoch ms). */
export interface OpenIterator {
  readonly store: string;
  readonly task: string;
  readonly since: number;
  close(): void;
}

/** The iterators open in one worker: each pins memory and files of its store until it ends, so they are counted. */
export class IteratorRegistry {
  /** In the order of their opening. */
  readonly #open = new Set<OpenIterator>();

  add(iterator: OpenIterator): void {
    this.#open.add(iterator);
  }

  remove(iterator: OpenIterator): void {
    this.#open.delete(iterator);
  }

  get count(): number {
    return this.#open.size;
  }

  oldest(): OpenIterator | undefined {
    return this.#open.values().next().value;
  }
}
