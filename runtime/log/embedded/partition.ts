import { KeyfoldError } from "../../errors.ts";
import type { OffsetRange } from "../log.ts";
import { batchKey, type Range } from "./keys.ts";
import { Waiters } from "./waiters.ts";

/** What is stored about a partition beside its batches, so that bounds survive the batches they came from. */
export interface StoredBounds {
  readonly start: number;
  readonly end: number;
  /** Compaction has seen every record below this offset. */
  readonly cleanedTo: number;
}

/** One partition in memory. Readers see [start, end); `appended` runs ahead of `end` while a write is on its way to the disk. */
export class Partition {
  readonly topic: string;
  readonly topicId: number;
  readonly partition: number;
  readonly waiters = new Waiters();
  start: number;
  end: number;
  appended: number;
  cleanedTo: number;

  constructor(topic: string, topicId: number, partition: number, bounds: StoredBounds) {
    this.topic = topic;
    this.topicId = topicId;
    this.partition = partition;
    this.start = bounds.start;
    this.end = bounds.end;
    this.appended = bounds.end;
    this.cleanedTo = bounds.cleanedTo;
  }

  get range(): OffsetRange {
    return { start: this.start, end: this.end };
  }

  bounds(): StoredBounds {
    return { start: this.start, end: this.end, cleanedTo: this.cleanedTo };
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
        ? `${gap} ${gap === 1 ? "record" : "records"} of ${topic}-${partition} from position ${position} on ${gap === 1 ? "is" : "are"} gone: the log begins at ${start} (retention).`
        : `Position ${position} of ${topic}-${partition} is ${gap} past the end of the log, ${end}.`;
    throw new KeyfoldError("offset-out-of-range", text, { details: { topic, partition, position, start, end, gap } });
  }
}
