import { KeyfoldError } from "../errors.ts";
import { asBuffer, batchEnd, corrupt, countRecords, lastOffset, setBaseOffset, stampIfUntimed } from "./batch-header.ts";
import type { Fetched, OffsetCommit, OffsetRange, TopicDescription, TopicSpec } from "./log.ts";

interface MemoryPartition {
  readonly batches: Buffer[];
  /** Offset of the last record of each batch, ascending. */
  readonly lasts: number[];
  end: number;
}

/** A log in memory whose methods answer at once: for the test driver and for tests of the engine. Same bytes, same offsets, nothing is kept. */
export class MemoryLog {
  readonly #topics = new Map<string, { readonly description: TopicDescription; readonly partitions: MemoryPartition[] }>();
  readonly #offsets = new Map<string, OffsetCommit>();
  readonly #now: () => number;

  constructor({ now = Date.now }: { now?: () => number } = {}) {
    this.#now = now;
  }

  ensureTopic(spec: TopicSpec): TopicDescription {
    const existing = this.#topics.get(spec.name)?.description;
    if (existing !== undefined) {
      if (existing.partitions === spec.partitions) return existing;
      throw new KeyfoldError(
        "topic-mismatch",
        `Topic "${spec.name}" has ${existing.partitions} partitions, ${spec.partitions} are asked for.`,
      );
    }
    const description: TopicDescription = { name: spec.name, partitions: spec.partitions, config: spec.config ?? {} };
    this.#topics.set(spec.name, {
      description,
      partitions: Array.from({ length: spec.partitions }, () => ({ batches: [], lasts: [], end: 0 })),
    });
    return description;
  }

  describe(topic: string): TopicDescription | undefined {
    return this.#topics.get(topic)?.description;
  }

  topics(): TopicDescription[] {
    return [...this.#topics.values()].map(({ description }) => description);
  }

  /** Takes batches as a BatchBuilder made them; the base offsets are written into a copy. Returns the first record's offset. */
  append(topic: string, partition: number, data: Uint8Array): number {
    const log = this.#partition(topic, partition);
    countRecords(data);
    const buffer = Buffer.from(data);
    const base = log.end;
    for (let at = 0; at < buffer.length; ) {
      const end = batchEnd(buffer, at);
      setBaseOffset(buffer, at, log.end);
      stampIfUntimed(buffer, at, end, this.#now());
      const last = lastOffset(buffer, at);
      if (last < log.end) throw corrupt("a batch without records cannot be appended");
      log.batches.push(buffer.subarray(at, end));
      log.lasts.push(last);
      log.end = last + 1;
      at = end;
    }
    return base;
  }

  /** Batches from `position` on, about `maxBytes` of them; at least one when there is one. */
  fetch(topic: string, partition: number, position: number, maxBytes = Number.POSITIVE_INFINITY): Fetched {
    const log = this.#partition(topic, partition);
    if (position < 0 || position > log.end) {
      throw new KeyfoldError("offset-out-of-range", `Position ${position} of ${topic}-${partition} is outside 0 to ${log.end}.`, {
        details: { start: 0, end: log.end, position },
      });
    }
    let low = 0;
    let high = log.lasts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((log.lasts[middle] as number) < position) low = middle + 1;
      else high = middle;
    }
    const parts: Buffer[] = [];
    let bytes = 0;
    let next = position;
    for (let i = low; i < log.batches.length && (parts.length === 0 || bytes < maxBytes); i++) {
      const part = asBuffer(log.batches[i] as Buffer);
      parts.push(part);
      bytes += part.length;
      next = (log.lasts[i] as number) + 1;
    }
    return { data: Buffer.concat(parts), next, end: log.end };
  }

  /** Start and end of every partition of the topic. */
  ends(topic: string): OffsetRange[] {
    return this.#known(topic).partitions.map(({ end }) => ({ start: 0, end }));
  }

  commit(group: string, offsets: readonly OffsetCommit[]): void {
    for (const offset of offsets) {
      this.#partition(offset.topic, offset.partition);
      this.#offsets.set(`${group}\0${offset.topic}\0${offset.partition}`, offset);
    }
  }

  committed(group: string, topic: string, partition: number): OffsetCommit | undefined {
    return this.#offsets.get(`${group}\0${topic}\0${partition}`);
  }

  #known(topic: string) {
    const known = this.#topics.get(topic);
    if (known === undefined) throw new KeyfoldError("topic-unknown", `There is no topic "${topic}".`, { details: { topic } });
    return known;
  }

  #partition(topic: string, partition: number): MemoryPartition {
    const known = this.#known(topic);
    const found = known.partitions[partition];
    if (found === undefined)
      throw new KeyfoldError(
        "partition-unknown",
        `Topic "${topic}" has ${known.partitions.length} partitions; there is no partition ${partition}.`,
      );
    return found;
  }
}
