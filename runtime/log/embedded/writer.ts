import { KeyfoldError } from "../../errors.ts";
import { asBuffer, AT, ATTRIBUTE, batchEnd, corrupt, lastOffset, setBaseOffset, stampIfUntimed } from "../batch-header.ts";
import type { OffsetCommit } from "../log.ts";
import type { WriteSet } from "./database.ts";
import { batchKey, offsetKey } from "./keys.ts";
import type { Partition } from "./partition.ts";

/** One partition's share of a write, checked. */
export interface Part {
  readonly partition: Partition;
  readonly data: Buffer;
}

/** One append or commit that waits for its turn; whole or not at all. */
export interface Pending {
  readonly parts: readonly Part[];
  readonly group: string;
  readonly offsets: readonly OffsetCommit[];
  readonly bytes: number;
  resolve(bases: number[]): void;
  reject(error: unknown): void;
}

/** Checks the headers of what somebody wants to append, so that a bad batch is refused before it meets anybody else's. */
export function checkBatches(data: Uint8Array, count: number): Buffer {
  const buffer = asBuffer(data);
  let records = 0;
  for (let at = 0; at < buffer.length; ) {
    const end = batchEnd(buffer, at);
    const here = buffer.readInt32BE(at + AT.count);
    const attributes = buffer[at + AT.attributes + 1] as number;
    if (here < 1 || buffer.readInt32BE(at + AT.lastOffsetDelta) !== here - 1) throw corrupt(`the batch at byte ${at} has ${here} records, but not as many offsets`, { at });
    if ((attributes & (ATTRIBUTE.compression | ATTRIBUTE.control)) !== 0) throw corrupt("compressed and control batches are not taken", { at, attributes });
    records += here;
    at = end;
  }
  if (records !== count) throw corrupt(`it holds ${records} records, ${count} were announced`, { records, count });
  return buffer;
}

/** Puts the batches and offsets of one pending write into the set, giving out offsets from each partition's `appended` on. Returns the base offsets. */
export function fill(writes: WriteSet, pending: Pending, now: number): number[] {
  const bases: number[] = [];
  for (const { partition, data } of pending.parts) {
    bases.push(partition.appended);
    for (let at = 0; at < data.length; ) {
      const end = batchEnd(data, at);
      setBaseOffset(data, at, partition.appended);
      stampIfUntimed(data, at, end, now);
      const last = lastOffset(data, at);
      writes.put(batchKey(partition.topicId, partition.partition, last), data.subarray(at, end));
      partition.appended = last + 1;
      at = end;
    }
  }
  for (const { topic, partition, offset, metadata } of pending.offsets) {
    writes.put(offsetKey(pending.group, topic, partition), Buffer.from(JSON.stringify(metadata === undefined ? { offset } : { offset, metadata })));
  }
  return bases;
}

/** Names superseded producers. A registered producer commits as `name@epoch`, the newest epoch wins; one that never registered is not fenced. */
export class Producers {
  readonly #epochs = new Map<string, number>();

  register(producer: string): string {
    const epoch = (this.#epochs.get(producer) ?? 0) + 1;
    this.#epochs.set(producer, epoch);
    return `${producer}@${epoch}`;
  }

  check(token: string): void {
    const at = token.lastIndexOf("@");
    const name = at < 0 || this.#epochs.has(token) ? token : token.slice(0, at);
    const epoch = this.#epochs.get(name);
    if (epoch === undefined || token === `${name}@${epoch}`) return;
    throw new KeyfoldError("fenced", `Producer ${token} was superseded by ${name}@${epoch}; its commit is refused.`, { remedy: "migrated", details: { producer: token } });
  }
}
