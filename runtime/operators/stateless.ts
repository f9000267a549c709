import type { ValueFn } from "../define/graph.ts";
import type { StreamTarget, TableTarget } from "./targets.ts";

/** Operators of streams that keep nothing. They see null keys and values and pass them on; timestamps are kept. */

export function filter(fn: ValueFn, keep: boolean, next: StreamTarget): StreamTarget {
  return {
    process(key, value, timestamp) {
      if (Boolean(fn(value, key)) === keep) next.process(key, value, timestamp);
    },
  };
}

export function mapValues(fn: ValueFn, next: StreamTarget): StreamTarget {
  return {
    process(key, value, timestamp) {
      next.process(key, orNull(fn(value, key)), timestamp);
    },
  };
}

export function map(fn: ValueFn, next: StreamTarget): StreamTarget {
  return {
    process(key, value, timestamp) {
      const [newKey, newValue] = fn(value, key) as readonly [string | null, unknown];
      next.process(checkedKey(newKey, "map"), orNull(newValue), timestamp);
    },
  };
}

export function flatMap(fn: ValueFn, next: StreamTarget): StreamTarget {
  return {
    process(key, value, timestamp) {
      for (const [newKey, newValue] of fn(value, key) as Iterable<readonly [string | null, unknown]>) {
        next.process(checkedKey(newKey, "flatMap"), orNull(newValue), timestamp);
      }
    },
  };
}

export function flatMapValues(fn: ValueFn, next: StreamTarget): StreamTarget {
  return {
    process(key, value, timestamp) {
      for (const one of fn(value, key) as Iterable<unknown>) next.process(key, orNull(one), timestamp);
    },
  };
}

export function keyBy(fn: ValueFn, next: StreamTarget): StreamTarget {
  return {
    process(key, value, timestamp) {
      next.process(checkedKey(fn(value, key), "keyBy"), value, timestamp);
    },
  };
}

export function peek(fn: ValueFn, next: StreamTarget): StreamTarget {
  return {
    process(key, value, timestamp) {
      fn(value, key);
      next.process(key, value, timestamp);
    },
  };
}

/** The first arm whose predicate holds takes the record. */
export function branch(predicates: readonly ValueFn[], arms: readonly StreamTarget[]): StreamTarget {
  return {
    process(key, value, timestamp) {
      for (let i = 0; i < predicates.length; i++) {
        if (!predicates[i]?.(value, key)) continue;
        arms[i]?.process(key, value, timestamp);
        return;
      }
    },
  };
}

/** A table's updates as a stream. */
export function toStream(next: StreamTarget): TableTarget {
  return {
    update(key, value, _old, timestamp) {
      next.process(key, value, timestamp);
    },
  };
}

/** What user code leaves out is null in the graph. */
export function orNull(value: unknown): unknown {
  return value === undefined ? null : value;
}

/** A key from user code: text or null. */
export function checkedKey(key: unknown, step: string): string | null {
  if (typeof key === "string") return key;
  if (key === null || key === undefined) return null;
  throw new TypeError(
    `${step}: a key must be a string or null, not ${typeof key === "object" ? "an object" : `the ${typeof key} ${String(key)}`}`,
  );
}
