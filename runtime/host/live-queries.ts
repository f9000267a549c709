interface Subscription {
  readonly key: string | undefined;
  readonly listener: (json: string) => void;
}

/** Who watches which function; workers send changes only of functions somebody watches. */
export class LiveQueries {
  readonly #switch: (fn: string, on: boolean) => void;
  readonly #subscriptions = new Map<string, Set<Subscription>>();

  constructor(onOff: (fn: string, on: boolean) => void) {
    this.#switch = onOff;
  }

  subscribe(fn: string, key: string | undefined, listener: (json: string) => void): () => void {
    let all = this.#subscriptions.get(fn);
    if (all === undefined) {
      all = new Set();
      this.#subscriptions.set(fn, all);
      this.#switch(fn, true);
    }
    const mine = all;
    const subscription = { key, listener };
    mine.add(subscription);
    return () => {
      if (!mine.delete(subscription) || mine.size > 0 || this.#subscriptions.get(fn) !== mine) return;
      this.#subscriptions.delete(fn);
      this.#switch(fn, false);
    };
  }

  changed(fn: string, keys: readonly string[], bodies: readonly string[]): void {
    for (const { key, listener } of this.#subscriptions.get(fn) ?? []) {
      keys.forEach((changed, i) => {
        if (key === undefined || key === changed) listener(bodies[i] ?? "");
      });
    }
  }

  /** Workers were replaced or got new tasks: tell them again. */
  resume(): void {
    for (const fn of this.#subscriptions.keys()) this.#switch(fn, true);
  }

  close(): void {
    this.#subscriptions.clear();
  }
}
