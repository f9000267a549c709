/** A record to pipe in. */
export interface InputRecord<V = unknown> {
  readonly key: string | null;
  readonly value: V;
  /** Event time, epoch ms. Default: the driver's wall clock. */
  readonly timestamp?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A record that came out. */
export interface OutputRecord<V = unknown> {
  readonly key: string | null;
  readonly value: V;
  readonly timestamp: number;
  readonly headers?: Readonly<Record<string, string>>;
}

interface Windowed {
  /** Windowed stores: bounds of the window, epoch ms. */
  readonly windowStart?: number;
  readonly windowEnd?: number;
}

/** A store's entry; windowed stores and sessions with the bounds of the window. */
export interface StoreEntry<V = unknown> extends Windowed {
  readonly key: string;
  readonly value: V;
  readonly timestamp: number;
}

/** A record of a store's changelog; value null is a deletion. */
export interface LoggedRecord<V = unknown> extends Windowed {
  readonly key: string;
  readonly value: V | null;
  readonly timestamp: number;
}

export interface StoreReader<V = unknown> {
  /** Of a windowed store: that of the window with this start (and, for sessions, end). */
  get(key: string, windowStart?: number, windowEnd?: number): V | undefined;
  /** Versioned stores: the value as of a time. */
  asOf(key: string, time: number): V | undefined;
  /** All entries by key, then window. */
  entries(): StoreEntry<V>[];
}
