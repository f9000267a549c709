import type { OutBatch } from "../log/log.ts";
import { partitionOf } from "../log/partitioner.ts";
import { BatchBuilder, type BatchBuilderOptions, type Headers } from "../log/record-batch.ts";
import type { Codec } from "../topology/topology.ts";

/**
 * What a task has to say to topics until its next commit. A record that fails takes back what it emitted (`rewind`).
 * A topic that nobody has seen yet has no partition count: its records wait until the worker has looked it up.
 */
export class Collector {
  readonly #outputs = new Map<string, Output>();
  readonly #touched: Touched[] = [];
  readonly #maxBatchBytes: number | undefined;
  #record = 0;
  #bytes = 0;

  constructor({ maxBatchBytes }: Pick<BatchBuilderOptions, "maxBatchBytes"> = {}) {
    this.#maxBatchBytes = maxBatchBytes;
  }

  /** Bytes held, roughly. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Starts a record: `rewind` takes back what came after this. */
  begin(): void {
    this.#record++;
    if (this.#touched.length > 0) this.#touched.length = 0;
  }

  rewind(): void {
    for (const { output, pending, partitions } of this.#touched) {
      output.pending.length = pending;
      output.partitions.forEach((builder, partition) => {
        const mark = partitions.get(partition);
        if (mark === undefined) builder.reset();
        else builder.truncate(mark);
      });
    }
    // What comes next is taken back by the next rewind again.
    this.begin();
  }

  setPartitions(topic: string, count: number): void {
    const output = this.#output(topic);
    output.count = count;
    const waiting = output.pending;
    output.pending = [];
    for (const p of waiting) this.#append(output, p.key, p.value, p.timestamp, p.headers, p.partition);
  }

  /** Topics that wait for `setPartitions`. */
  unresolved(): string[] {
    const names: string[] = [];
    for (const [topic, output] of this.#outputs) if (output.pending.length > 0) names.push(topic);
    return names;
  }

  emit(
    topic: string,
    codec: Codec,
    key: string | null,
    value: unknown,
    timestamp: number,
    headers: Headers | null,
    partition?: number,
  ): void {
    const output = this.#output(topic);
    const bytes = value === null || value === undefined ? null : codec.encode(value);
    this.#touch(output);
    this.#append(output, key, bytes, timestamp, headers, partition);
  }

  /** A record as it came, for the dead-letter topic. */
  emitBytes(topic: string, key: string | null, value: Uint8Array | null, timestamp: number, headers: Headers): void {
    const output = this.#output(topic);
    this.#touch(output);
    this.#append(output, key, value, timestamp, headers, undefined);
  }

  /** All encoded records since the last take. */
  take(): OutBatch[] {
    const batches: OutBatch[] = [];
    for (const [topic, output] of this.#outputs) {
      output.partitions.forEach((builder, partition) => {
        if (builder.count === 0) return;
        const count = builder.count;
        batches.push({ topic, partition, data: builder.finish(), count });
        builder.reset();
      });
    }
    this.#bytes = 0;
    this.#touched.length = 0;
    return batches;
  }

  clear(): void {
    for (const output of this.#outputs.values()) {
      output.pending.length = 0;
      for (const builder of output.partitions.values()) builder.reset();
    }
    this.#bytes = 0;
    this.#touched.length = 0;
  }

  #output(topic: string): Output {
    let output = this.#outputs.get(topic);
    if (output === undefined) {
      output = { count: 0, partitions: new Map(), pending: [], record: -1, next: 0 };
      this.#outputs.set(topic, output);
    }
    return output;
  }

  #touch(output: Output): void {
    if (output.record === this.#record) return;
    output.record = this.#record;
    const partitions = new Map<number, ReturnType<BatchBuilder["mark"]>>();
    for (const [partition, builder] of output.partitions) partitions.set(partition, builder.mark());
    this.#touched.push({ output, pending: output.pending.length, partitions });
  }

  #append(
    output: Output,
    key: string | null,
    value: Uint8Array | null,
    timestamp: number,
    headers: Headers | null,
    partition: number | undefined,
  ): void {
    this.#bytes += (key?.length ?? 0) + (value?.length ?? 0) + 16;
    if (output.count === 0) {
      output.pending.push({ key, value: value === null ? null : Buffer.from(value), timestamp, headers, partition });
      return;
    }
    // Null keys: one partition after another, counted from the start of the task, so that a replay chooses the same again.
    const target = partition ?? (key === null ? output.next++ % output.count : partitionOf(key, output.count));
    let builder = output.partitions.get(target);
    if (builder === undefined) {
      builder = new BatchBuilder(this.#maxBatchBytes === undefined ? {} : { maxBatchBytes: this.#maxBatchBytes });
      output.partitions.set(target, builder);
    }
    builder.append(key, value, timestamp, headers);
  }
}

interface Output {
  /** Partitions of the topic; 0 while unknown. */
  count: number;
  readonly partitions: Map<number, BatchBuilder>;
  pending: Pending[];
  /** The record that touched it last. */
  record: number;
  /** Round robin for null keys. */
  next: number;
}

interface Pending {
  readonly key: string | null;
  readonly value: Uint8Array | null;
  readonly timestamp: number;
  readonly headers: Headers | null;
  readonly partition: number | undefined;
}

interface Touched {
  readonly output: Output;
  readonly pending: number;
  readonly partitions: Map<number, ReturnType<BatchBuilder["mark"]>>;
}
