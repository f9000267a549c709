import { AT, ATTRIBUTE, asBuffer, batchEnd, corrupt, lastOffset, setBaseOffset, stampAppended, stampIfUntimed } from "../batch-header.ts";
import type { OffsetCommit } from "../log.ts";
import type { GroupWrite } from "./commit-queue.ts";
import type { WriteSet } from "./database.ts";
import { batchKey, offsetKey } from "./keys.ts";
import type { Partition } from "./partition.ts";

/** A larger append is not kept in memory for the readers at the end. */
export const TAIL_BYTES = 64 * 1024;

/** One partition's share of an append, checked. */
export interface Part {
  readonly partition: Partition;
  readonly data: Buffer;
}

/** Checks the headers of what somebody wants to append, so that a bad batch is refused before it meets anybody else's. */
export function checkBatches(data: Uint8Array, count: number): Buffer {
  const buffer = asBuffer(data);
  let records = 0;
  for (let at = 0; at < buffer.length; ) {
    const end = batchEnd(buffer, at);
    const here = buffer.readInt32BE(at + AT.count);
    const attributes = buffer[at + AT.attributes + 1] as number;
    if (here < 1 || buffer.readInt32BE(at + AT.lastOffsetDelta) !== here - 1)
      throw corrupt(`the batch at byte ${at} has ${here} records, but not as many offsets`, { at });
    if ((attributes & (ATTRIBUTE.compression | ATTRIBUTE.control)) !== 0)
      throw corrupt("compressed and control batches are not taken", { at, attributes });
    records += here;
    at = end;
  }
  if (records !== count) throw corrupt(`it holds ${records} records, ${count} were announced`, { records, count });
  return buffer;
}

/** An append or a commit: batches get their offsets when they are written, and are seen by readers once they are acknowledged. */
export class AppendWrite implements GroupWrite {
  readonly bytes: number;
  readonly #parts: readonly Part[];
  readonly #group: string;
  readonly #offsets: readonly OffsetCommit[];
  readonly #settle: { resolve(bases: number[]): void; reject(error: unknown): void; committed(offsets: readonly OffsetCommit[]): void };
  #bases: number[] = [];
  #ends: number[] = [];

  constructor(
    parts: readonly Part[],
    group: string,
    offsets: readonly OffsetCommit[],
    settle: { resolve(bases: number[]): void; reject(error: unknown): void; committed(offsets: readonly OffsetCommit[]): void },
  ) {
    this.#parts = parts;
    this.#group = group;
    this.#offsets = offsets;
    this.#settle = settle;
    this.bytes = parts.reduce((sum, { data }) => sum + data.length, 0);
  }

  fill(writes: WriteSet, now: number): void {
    this.#bases = [];
    this.#ends = [];
    for (const { partition, data } of this.#parts) {
      this.#bases.push(partition.appended);
      for (let at = 0; at < data.length; ) {
        const end = batchEnd(data, at);
        setBaseOffset(data, at, partition.appended);
        if (partition.stampsAppends) stampAppended(data, at, end, now);
        else stampIfUntimed(data, at, end, now);
        const last = lastOffset(data, at);
        writes.put(batchKey(partition.topicId, partition.partition, last), data.subarray(at, end));
        partition.appended = last + 1;
        at = end;
      }
      this.#ends.push(partition.appended);
    }
    for (const { topic, partition, offset, metadata } of this.#offsets) {
      writes.put(
        offsetKey(this.#group, topic, partition),
        Buffer.from(JSON.stringify(metadata === undefined ? { offset } : { offset, metadata })),
      );
    }
  }

  done(): void {
    this.#parts.forEach(({ partition, data }, i) => {
      partition.end = this.#ends[i] ?? partition.end;
      partition.tail = data.length > TAIL_BYTES ? undefined : { base: this.#bases[i] ?? partition.end, end: partition.end, data };
    });
    this.#settle.committed(this.#offsets);
    this.#settle.resolve(this.#bases);
    for (const { partition } of this.#parts) partition.waiters.wake();
  }

  failed(error: unknown): void {
    // The offsets given out are taken back by the recovery that follows every failed write.
    this.#settle.reject(error);
  }
}
