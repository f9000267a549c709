/** A scenario file; README.md beside this has the format. */
export interface Scenario {
  readonly name: string;
  readonly about: string;
  readonly tags?: readonly string[];
  readonly level?: Level;
  readonly topology: readonly ScenarioNode[];
  readonly observe?: { readonly changelog?: readonly string[] };
  readonly input: readonly Step[];
  readonly expect: {
    readonly output: Readonly<Record<string, readonly unknown[]>>;
    readonly stores: Readonly<Record<string, readonly Entry[]>>;
    readonly changelog?: Readonly<Record<string, readonly unknown[]>>;
    readonly droppedRecords: number;
  };
}

export type Level = "strict" | "keyed" | "changes" | "bag" | "final";

export interface ScenarioNode {
  readonly id: string;
  readonly op: string;
  readonly from?: readonly string[];
  readonly topic?: string;
  readonly fn?: string;
  readonly store?: string;
  readonly storeType?: "rocksdb" | "memory" | "lru" | "versioned";
  readonly maxEntries?: number;
  readonly historyMs?: number;
  readonly branches?: readonly { readonly id: string; readonly fn: string }[];
  readonly default?: string;
  readonly key?: string;
  readonly value?: string;
  readonly reducer?: string;
  readonly init?: unknown;
  readonly aggregator?: string;
  readonly merger?: string;
  readonly adder?: string;
  readonly subtractor?: string;
  readonly window?: Window;
  readonly until?: "windowCloses" | "timeLimit";
  readonly waitMs?: number;
  readonly maxRecords?: number;
  readonly how?: "inner" | "left" | "outer";
  readonly joiner?: string;
  readonly keyFn?: string;
  readonly foreignKey?: string;
  readonly graceMs?: number;
  readonly processor?: string;
  readonly params?: { readonly ttlMs?: number; readonly everyMs?: number; readonly clock?: "stream" | "wall"; readonly times?: number };
}

export interface Window {
  readonly type?: "tumbling" | "hopping" | "sliding" | "session";
  readonly sizeMs?: number;
  readonly advanceMs?: number;
  readonly diffMs?: number;
  readonly gapMs?: number;
  readonly beforeMs?: number;
  readonly afterMs?: number;
  readonly graceMs?: number;
  readonly retentionMs?: number;
  readonly emit?: "onWindowClose";
}

export type Step =
  | { readonly topic: string; readonly key: string | null; readonly value: unknown; readonly timestamp: number }
  | { readonly advanceWallClockMs: number };

export interface Entry {
  readonly key: string;
  readonly windowStart?: number;
  readonly windowEnd?: number;
  readonly value: unknown;
  readonly timestamp?: number;
}

export interface Actual {
  readonly output: Readonly<Record<string, readonly unknown[]>>;
  readonly stores?: Readonly<Record<string, readonly unknown[]>>;
  readonly changelog?: Readonly<Record<string, readonly unknown[]>>;
  readonly droppedRecords?: number;
}

export interface Comparison {
  readonly pass: boolean;
  readonly strict: boolean;
  readonly keyed: boolean;
  readonly changes: boolean;
  readonly bag: boolean;
  readonly final: boolean;
  readonly stores: boolean | null;
  readonly storeValues: boolean | null;
  readonly changelog: boolean | null;
  readonly dropped: boolean | null;
  readonly differences: readonly string[];
}
