import { KeyfoldError } from "../../errors.ts";
import { AT, ATTRIBUTE, batchEnd, HEADER_BYTES, lastOffset, readInt64 } from "../batch-header.ts";
import { crc32c } from "../crc32c.ts";
import type { TopicPartition } from "../log.ts";
import type { AbortedTransaction } from "./api/fetch.ts";
import { COMPRESSION_NAMES, decompress } from "./compression/compression.ts";

export interface RecordSet {
  /** Whole, uncompressed, committed batches; a view of the response where nothing had to be changed. */
  readonly data: Buffer;
  /** Position after the last whole batch, dropped ones included; undefined when there is none. */
  readonly next: number | undefined;
}

/**
 * Turns what a broker sent for one partition into what the port promises: every checksum checked, batches of aborted transactions
 * left out by their control batches, compressed ones unpacked. The last batch may be cut off and is then left for the next fetch.
 */
export function readRecordSet(raw: Buffer, aborted: readonly AbortedTransaction[], where: TopicPartition): RecordSet {
  const filter = aborted.length === 0 ? undefined : new AbortedFilter(aborted);
  let parts: Buffer[] | undefined;
  let next: number | undefined;
  let kept = 0;
  let at = 0;
  while (raw.length - at >= HEADER_BYTES && at + 12 + raw.readInt32BE(at + AT.length) <= raw.length) {
    const end = batchEnd(raw, at);
    checkCrc(raw, at, end, where);
    next = lastOffset(raw, at) + 1;
    const attributes = raw[at + AT.attributes + 1] as number;
    const compression = attributes & ATTRIBUTE.compression;
    const drop = filter?.drops(raw, at, attributes) === true;
    if (drop || compression !== 0) {
      parts ??= [];
      if (at > kept) parts.push(raw.subarray(kept, at));
      if (!drop) parts.push(unpack(raw, at, end, compression, where));
      kept = end;
    }
    at = end;
  }
  if (parts === undefined) return { data: raw.subarray(0, at), next };
  if (at > kept) parts.push(raw.subarray(kept, at));
  return { data: parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts), next };
}

/** Decides batch by batch, in offset order, which belong to aborted transactions. */
class AbortedFilter {
  readonly #begins: AbortedTransaction[];
  readonly #open = new Set<number>();
  #index = 0;

  constructor(aborted: readonly AbortedTransaction[]) {
    this.#begins = [...aborted].sort((a, b) => a.firstOffset - b.firstOffset);
  }

  drops(raw: Buffer, at: number, attributes: number): boolean {
    if ((attributes & ATTRIBUTE.transactional) === 0) return false;
    const last = lastOffset(raw, at);
    for (; this.#index < this.#begins.length && (this.#begins[this.#index] as AbortedTransaction).firstOffset <= last; this.#index++) {
      this.#open.add((this.#begins[this.#index] as AbortedTransaction).producerId);
    }
    const producer = readInt64(raw, at + AT.producerId);
    if ((attributes & ATTRIBUTE.control) === 0) return this.#open.has(producer);
    // Commit and abort markers alike end the producer's transaction; readers skip control batches.
    this.#open.delete(producer);
    return false;
  }
}

function checkCrc(raw: Buffer, at: number, end: number, { topic, partition }: TopicPartition): void {
  const written = raw.readUInt32BE(at + AT.crc);
  const found = crc32c(raw, at + AT.attributes, end);
  if (found === written) return;
  const offset = readInt64(raw, at);
  throw new KeyfoldError(
    "log-corrupt",
    `The batch at offset ${offset} of ${topic}-${partition} is damaged: its checksum is ${found}, its header says ${written}.`,
    {
      remedy: "corrupt",
      details: { topic, partition, offset },
    },
  );
}

/** The same batch without compression. Its checksum was that of the compressed bytes: 0 says that it carries none. */
function unpack(raw: Buffer, at: number, end: number, compression: number, { topic, partition }: TopicPartition): Buffer {
  let records: Buffer;
  try {
    records = decompress(compression, raw.subarray(at + HEADER_BYTES, end));
  } catch (thrown) {
    if (thrown instanceof KeyfoldError) throw thrown;
    const offset = readInt64(raw, at);
    const name = COMPRESSION_NAMES[compression] ?? `kind ${compression}`;
    throw new KeyfoldError(
      "log-corrupt",
      `The batch at offset ${offset} of ${topic}-${partition} cannot be decompressed (${name}): ${thrown instanceof Error ? thrown.message : String(thrown)}.`,
      {
        remedy: "corrupt",
        cause: thrown,
        details: { topic, partition, offset },
      },
    );
  }
  const batch = Buffer.allocUnsafe(HEADER_BYTES + records.length);
  raw.copy(batch, 0, at, at + HEADER_BYTES);
  records.copy(batch, HEADER_BYTES);
  batch.writeInt32BE(batch.length - 12, AT.length);
  batch.writeUInt32BE(0, AT.crc);
  batch[AT.attributes + 1] = (batch[AT.attributes + 1] as number) & ~ATTRIBUTE.compression;
  return batch;
}
