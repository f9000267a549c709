import type { JoinFn, ValueFn } from "../define/graph.ts";
import type { HoldBuffer } from "../state/windowed/hold-buffer.ts";
import type { TaskContext } from "../topology/topology.ts";
import { checkedKey, orNull } from "./stateless.ts";
import type { Flushing, RowView, StreamTarget } from "./targets.ts";

export interface LookupOptions {
  readonly how: "inner" | "left";
  readonly fn: JoinFn;
  /** Key of the row; undefined: the record's own. */
  readonly keyFn: ValueFn | undefined;
  readonly rows: RowView;
}

/** Joins each record with the current row of a table; of a versioned one with the row as of the record's time. */
export class StreamTableJoin implements StreamTarget {
  readonly #context: TaskContext;
  readonly #options: LookupOptions;
  readonly #next: StreamTarget;

  constructor(context: TaskContext, options: LookupOptions, next: StreamTarget) {
    this.#context = context;
    this.#options = options;
    this.#next = next;
  }

  process(key: string | null, value: unknown, timestamp: number): void {
    if (!this.drops(key, value)) this.join(key, value, timestamp);
  }

  /** Drops (and counts) null values; null keys too in an inner join. */
  drops(key: string | null, value: unknown): boolean {
    const { how, keyFn } = this.#options;
    if (value === null) {
      this.#context.dropped("null-value");
      return true;
    }
    if (how === "left") return false;
    if ((keyFn === undefined ? key : this.#rowKey(key, value)) !== null) return false;
    this.#context.dropped("null-key");
    return true;
  }

  join(key: string | null, value: unknown, timestamp: number): void {
    const { how, fn, rows } = this.#options;
    const rowKey = this.#rowKey(key, value);
    const entry = rowKey === null ? undefined : rows.asOf === undefined ? rows.get(rowKey) : rows.asOf(rowKey, timestamp);
    if (entry === undefined && how === "inner") return;
    this.#next.process(key, orNull(fn(value, entry === undefined ? null : entry.value, key)), timestamp);
  }

  #rowKey(key: string | null, value: unknown): string | null {
    const { keyFn } = this.#options;
    return keyFn === undefined ? key : checkedKey(keyFn(value, key), "join");
  }
}

/** With grace: records wait until stream time is so far past them, and are joined in time order, as of their own time. */
export class HeldStreamTableJoin implements StreamTarget, Flushing {
  readonly #join: StreamTableJoin;
  readonly #held: HoldBuffer;
  readonly #graceMs: number;

  constructor(join: StreamTableJoin, held: HoldBuffer, graceMs: number) {
    this.#join = join;
    this.#held = held;
    this.#graceMs = graceMs;
  }

  process(key: string | null, value: unknown, timestamp: number): void {
    const due = this.#held.marks.raise("streamTime", timestamp) - this.#graceMs;
    if (this.#join.drops(key, value)) return;
    if (key === null || timestamp < due) this.#join.join(key, value, timestamp);
    else this.#held.put(key, timestamp, value);
    for (const record of this.#held.takeUpTo(due)) this.#join.join(record.key, record.value, record.time);
  }

  beforeFlush(): void {
    this.#held.beforeFlush();
  }
}
