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

/** Records kept back at most. */
const GATHER_RECORDS = 512;

export interface AppenderOptions extends Pick<BatchBuilderOptions, "maxBatchBytes"> {
  /** Longest time an event is kept back while others are under way, ms. Default 4. */
  readonly gatherMs?: number;
  /** How long after the last answer the next events of those clients are waited for, ms. Default 2. */
  readonly returnMs?: number;
}

/**
 * Records from HTTP on their way into the log: those of one turn of the event loop share one batch per partition and one
 * write. Offsets are known when the write is durable.
 *
 * Events somebody waits for (`gather`) are kept back, for a few milliseconds at most, while earlier ones are still being
 * answered, and then until as many have come as there were under way: clients that ask again as soon as they are answered
 * so share one trip to the workers and back, and its two writes and wake-ups, which are most of what an invoke costs alone.
 */
export class Appender {
  readonly #log: Log;
  readonly #batches: AppenderOptions;
  readonly #gatherMs: number;
  readonly #returnMs: number;
  readonly #pending = new Map<string, Pending[]>();
  readonly #sticky = new Map<string, StickyPartitioner>();
  #scheduled = false;
  /** Gathered events that are not on their way yet. */
  #held = 0;
  #heldTimer: NodeJS.Timeout | undefined;
  /** Gathered events on their way. */
  #awaited = 0;
  /** Most that were held and awaited together since all were answered last. */
  #crowd = 0;
  /** So many are expected to come together, until the time of `performance.now()`. */
  #expected = 0;
  #expectedUntil = 0;
  /** Appends of a partition whose offsets are not yet told, by `topic/partition`. */
  readonly #unsettled = new Map<string, Promise<void>>();

  /** `maxBatchBytes`: where a batch ends and another begins. */
  constructor(log: Log, options: AppenderOptions = {}) {
    this.#log = log;
    this.#batches = options;
    this.#gatherMs = options.gatherMs ?? 4;
    this.#returnMs = options.returnMs ?? 2;
  }

  /**
   * Appends one record; `resolve` runs, synchronously with the news, before any reader of the partition is answered. With `gather`, `answered`
   * is to be told when nobody waits for it any more.
   */
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
    if (!gather) {
      this.#schedule();
      return;
    }
    this.#held++;
    this.#crowd = Math.max(this.#crowd, this.#awaited + this.#held);
    if (this.#held >= GATHER_RECORDS) this.#schedule();
    else if (this.#awaited > 0) this.#flushWithin(this.#gatherMs);
    else if (this.#held >= this.#expected) this.#schedule();
    else if (this.#heldTimer === undefined) {
      const left = this.#expectedUntil - performance.now();
      if (left > 0) this.#flushWithin(left);
      else this.#schedule();
    }
  }

  /** So many gathered events were answered, refused or given up. */
  answered(count: number): void {
    this.#awaited -= count;
    if (this.#awaited > 0) return;
    this.#expected = this.#crowd;
    this.#expectedUntil = performance.now() + this.#returnMs;
    this.#crowd = this.#held;
    if (this.#held === 0) return;
    clearTimeout(this.#heldTimer);
    this.#heldTimer = undefined;
    if (this.#held >= this.#expected) this.#schedule();
    else this.#flushWithin(this.#returnMs);
  }

  /** Resolves when the offsets of appends to the partition that were already written have been told; undefined when none are. */
  settled = (topic: string, partition: number): Promise<void> | undefined => this.#unsettled.get(`${topic}/${partition}`);

  #keyless(topic: string, partitions: number): number {
    let sticky = this.#sticky.get(topic);
    if (sticky === undefined) this.#sticky.set(topic, (sticky = new StickyPartitioner()));
    return sticky.next(partitions);
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#flush);
  }

  #flushWithin(ms: number): void {
    this.#heldTimer ??= setTimeout(this.#flush, ms);
  }

  #flush = (): void => {
    this.#scheduled = false;
    this.#awaited += this.#held;
    this.#held = 0;
    clearTimeout(this.#heldTimer);
    this.#heldTimer = undefined;
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
