import { KeyfoldError } from "../errors.ts";
import type { Log } from "../log/log.ts";
import { partitionOf, StickyPartitioner } from "../log/partitioner.ts";
import { BatchBuilder, type BatchBuilderOptions, type Headers } from "../log/record-batch.ts";
import type { InputRecord, Position } from "./api.ts";

type Waiter = { readonly resolve: (position: Position) => void; readonly reject: (error: KeyfoldError) => void };

interface Pending {
  readonly topic: string;
  readonly partition: number;
  readonly builder: BatchBuilder;
  /** One an event-loop turn's record, in order. */
  waiters: Waiter[];
}

/** Longest time an event is kept back to share a batch with others, ms. */
const GATHER_MS = 4;
/** Records kept back at most. */
const GATHER_RECORDS = 512;

/**
 * Records from HTTP on their way into the log: those of one turn of the event loop share one batch per partition and one
 * write. Offsets are known when the write is durable.
 *
 * Events somebody waits for (`gather`) are kept back, for a few milliseconds at most, while earlier ones are still being
 * answered: under load each trip to the workers and back then carries many, which is most of what an invoke costs.
 */
export class Appender {
  readonly #log: Log;
  readonly #batches: Pick<BatchBuilderOptions, "maxBatchBytes">;
  readonly #pending = new Map<string, Pending[]>();
  readonly #sticky = new Map<string, StickyPartitioner>();
  #scheduled = false;
  #held = 0;
  #heldTimer: NodeJS.Timeout | undefined;
  /** Events on their way that somebody waits for. */
  #awaited = 0;
  /** Appends of a partition whose offsets are not yet told, by `topic/partition`. */
  readonly #unsettled = new Map<string, Promise<void>>();

  /** `maxBatchBytes`: where a batch ends and another begins. */
  constructor(log: Log, options: Pick<BatchBuilderOptions, "maxBatchBytes"> = {}) {
    this.#log = log;
    this.#batches = options;
  }

  /** Appends one record; `onPosition` runs, synchronously with the news, before any reader of the partition is answered. */
  append(
    topic: string,
    partitions: number,
    record: InputRecord,
    resolve: (position: Position) => void,
    reject: (error: KeyfoldError) => void,
    gather = false,
  ): void {
    const partition = record.key === null ? this.#keyless(topic, partitions) : partitionOf(record.key, partitions);
    let lanes = this.#pending.get(topic);
    if (lanes === undefined) this.#pending.set(topic, (lanes = []));
    let lane = lanes[partition];
    if (lane === undefined) lanes[partition] = lane = { topic, partition, builder: new BatchBuilder(this.#batches), waiters: [] };
    lane.builder.append(record.key, record.value, record.timestamp ?? Date.now(), headersOf(record.headers));
    lane.waiters.push({ resolve, reject });
    if (this.#scheduled) return;
    if (gather && this.#awaited > 0 && ++this.#held < GATHER_RECORDS) {
      this.#heldTimer ??= setTimeout(() => this.#flush(), GATHER_MS);
      return;
    }
    this.#scheduled = true;
    setImmediate(this.#flush);
  }

  /** `count` more events are on their way whose result somebody waits for. */
  awaiting(count: number): void {
    this.#awaited += count;
  }

  /** So many were answered, or given up: what was kept back for them goes out. */
  answered(count: number): void {
    this.#awaited -= count;
    if (this.#awaited > 0 || this.#held === 0 || this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#flush);
  }

  /** Resolves when the offsets of appends to the partition that were already written have been told; undefined when none are. */
  settled = (topic: string, partition: number): Promise<void> | undefined => this.#unsettled.get(`${topic}/${partition}`);

  #keyless(topic: string, partitions: number): number {
    let sticky = this.#sticky.get(topic);
    if (sticky === undefined) this.#sticky.set(topic, (sticky = new StickyPartitioner()));
    return sticky.next(partitions);
  }

  #flush = (): void => {
    this.#scheduled = false;
    this.#held = 0;
    if (this.#heldTimer !== undefined) {
      clearTimeout(this.#heldTimer);
      this.#heldTimer = undefined;
    }
    const lanes: Pending[] = [];
    for (const all of this.#pending.values()) for (const lane of all) if (lane !== undefined && lane.builder.count > 0) lanes.push(lane);
    if (lanes.length === 0) return;
    const batches = lanes.map(({ topic, partition, builder }) => ({ topic, partition, count: builder.count, data: builder.finish() }));
    const waiting = lanes.map((lane) => {
      lane.builder.reset();
      const { waiters } = lane;
      lane.waiters = [];
      return waiters;
    });
    const told = this.#log.append(batches).then(
      (bases) =>
        waiting.forEach((waiters, i) => {
          const partition = lanes[i]?.partition ?? 0;
          const base = bases[i] ?? 0;
          for (let n = 0; n < waiters.length; n++) waiters[n]?.resolve({ partition, offset: base + n });
        }),
      (thrown: unknown) => {
        const error = KeyfoldError.from(thrown, "log-unavailable", "retry");
        for (const waiters of waiting) for (const waiter of waiters) waiter.reject(error);
      },
    );
    for (const { topic, partition } of lanes) {
      const place = `${topic}/${partition}`;
      const before = this.#unsettled.get(place);
      const settled: Promise<void> = (before === undefined ? told : Promise.all([before, told]).then(() => {})).then(() => {
        if (this.#unsettled.get(place) === settled) this.#unsettled.delete(place);
      });
      this.#unsettled.set(place, settled);
    }
  };
}

function headersOf(headers: InputRecord["headers"]): Headers | null {
  return headers === undefined ? null : Object.entries(headers).map(([name, value]) => [name, Buffer.from(value, "utf8")] as const);
}
