import { KeyfoldError } from "../../errors.ts";
import type { OffsetRange, TopicConfig } from "../log.ts";
import { batchKey, type Range } from "./keys.ts";
import { isStamped } from "./topics.ts";
import { Waiters } from "./waiters.ts";

/** What is stored about a partition beside its batches, so that bounds survive the batches they came from. */
export interface StoredBounds {
  readonly start: number;
  readonly end: number;
  /** Compaction has seen every record below this offset, and left so many of them. */
  readonly cleanedTo: number;
  readonly cleanedRecords: number;
  /** When compaction first saw the tombstones below an offset; both ascend. */
  readonly seen: readonly (readonly [offset: number, at: number])[];
  /** Bytes of the batches below an offset, for `retention.bytes`. */
  readonly sizedTo: number;
  readonly sizedBytes: number;
}

export const NEW_BOUNDS: StoredBounds = { start: 0, end: 0, cleanedTo: 0, cleanedRecords: 0, seen: [], sizedTo: 0, sizedBytes: 0 };

export interface Tail {
  /** Offsets [base, end) are in `data`, batch after batch. */
  readonly base: number;
  readonly end: number;
  readonly data: Buffer;
}

/** One partition in memory. Readers see [start, end); `appended` runs ahead of `end` while a write is on its way to the disk. */
export class Partition {
  readonly topic: string;
  readonly topicId: number;
  readonly partition: number;
  readonly config: TopicConfig;
  /** Records get the time of their append, whatever they bring. */
  readonly stampsAppends: boolean;
  readonly waiters = new Waiters();
  /** As last stored, but for `start` and `end`, which live below. */
  stored: StoredBounds;
  start: number;
  end: number;
  appended: number;
  /** What was appended last, when it is small: readers at the end of the log get it without a look at the disk. */
  tail: Tail | undefined;
  /** The topic is gone: whoever still holds this must write nothing more. */
  deleted = false;

  constructor(topic: string, topicId: number, partition: number, config: TopicConfig, bounds: StoredBounds) {
    this.topic = topic;
    this.topicId = topicId;
    this.partition = partition;
    this.config = config;
    this.stampsAppends = isStamped(config);
    this.stored = bounds;
    this.start = bounds.start;
    this.end = bounds.end;
    this.appended = bounds.end;
  }

  /** Takes over what the database really holds. */
  reload(bounds: StoredBounds): void {
    this.stored = bounds;
    this.start = bounds.start;
    this.end = bounds.end;
    this.appended = bounds.end;
    this.tail = undefined;
  }

  get range(): OffsetRange {
    return { start: this.start, end: this.end };
  }

  /** Keys of the batches that hold offsets in [from, to). */
  keys(from: number, to: number): Range {
    return { gte: batchKey(this.topicId, this.partition, from), lt: batchKey(this.topicId, this.partition, to) };
  }

  /** Throws `offset-out-of-range` unless start <= position <= end. */
  check(position: number): void {
    const { topic, partition, start, end } = this;
    if (position >= start && position <= end) return;
    const gap = position < start ? start - position : position - end;
    const text =
      position < start
        ? `Position ${position} of ${topic}-${partition} is gone: the log begins at ${start}, so that ${gap} ${gap === 1 ? "offset was" : "offsets were"} deleted by retention before being read.`
        : `Position ${position} of ${topic}-${partition} is ${gap} past the end of the log, ${end}.`;
    throw new KeyfoldError("offset-out-of-range", text, { details: { topic, partition, position, start, end, gap } });
  }
}
