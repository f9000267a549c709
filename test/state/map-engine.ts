import type { StateStore, StoreContext, StorePosition, StoreWrite } from "../../runtime/state/store.ts";

/** The least that can stand behind StateStore: what a user might write. */
export class MapEngine implements StateStore {
  readonly persistent = false;
  #entries = new Map<string, Uint8Array>();
  #position: StorePosition | undefined;
  context: StoreContext | undefined;

  async open(context: StoreContext): Promise<void> {
    this.context = context;
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#entries.get(text(key));
  }

  getMany(keys: readonly Uint8Array[]): (Uint8Array | undefined)[] {
    return keys.map((key) => this.get(key));
  }

  range(from: Uint8Array | undefined, to: Uint8Array | undefined, reverse = false): IterableIterator<readonly [Uint8Array, Uint8Array]> {
    const low = from && text(from);
    const high = to && text(to);
    const keys = [...this.#entries.keys()].filter((key) => (low === undefined || key >= low) && (high === undefined || key < high)).sort();
    if (reverse) keys.reverse();
    return keys.map((key) => [Buffer.from(key, "latin1"), this.#entries.get(key) as Uint8Array] as const).values();
  }

  write(writes: readonly StoreWrite[], position: StorePosition | undefined): void {
    for (const { key, value } of writes) {
      if (value === undefined) this.#entries.delete(text(key));
      else this.#entries.set(text(key), Uint8Array.from(value));
    }
    this.#position = position ?? this.#position;
  }

  dropRange(from: Uint8Array, to: Uint8Array): void {
    for (const [key] of this.range(from, to)) this.#entries.delete(text(key));
  }

  position(): StorePosition | undefined {
    return this.#position;
  }

  approximateEntries(): number {
    return this.#entries.size;
  }

  async close(): Promise<void> {
    this.#entries.clear();
  }
}

function text(key: Uint8Array): string {
  return Buffer.from(key).toString("latin1");
}
