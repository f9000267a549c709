import { AT, ATTRIBUTE, asBuffer, batchEnd, corrupt, fillCrc, HEADER_BYTES, stampIfUntimed, writeInt64 } from "../batch-header.ts";
import type { OutBatch } from "../log.ts";
import type { ProducerIdentity } from "./api/transactions.ts";
import { COMPRESSION_NAMES, type Compression, compress } from "./compression/compression.ts";
import type { Writer } from "./wire.ts";

/** One v2 batch on its way out: Kafka takes one for each partition of a request. */
export interface Unit {
  readonly data: Buffer;
  readonly count: number;
}

/** The batches of an OutBatch, each checked; `log-corrupt` when they are not what `count` says. */
export function unitsOf({ data, count }: OutBatch): Unit[] {
  const buffer = asBuffer(data);
  const units: Unit[] = [];
  let records = 0;
  for (let at = 0; at < buffer.length; ) {
    const end = batchEnd(buffer, at);
    const unit = { data: buffer.subarray(at, end), count: buffer.readInt32BE(at + AT.count) };
    if (unit.count === 0) throw corrupt("a batch without records cannot be appended");
    records += unit.count;
    units.push(unit);
    at = end;
  }
  if (records !== count) throw corrupt(`${records} records are in it, ${count} were announced`);
  return units;
}

export interface Stamp {
  readonly identity: ProducerIdentity;
  /** Number of the first record in this producer's sequence for the partition. */
  readonly sequence: number;
  readonly transactional: boolean;
  readonly compression: Compression;
  /** For batches built without timestamps, epoch ms. */
  readonly now: number;
}

/** Writes a unit as the broker wants it, the caller's bytes untouched: base offset 0, producer and sequence, compressed, with its checksum. */
export function writeUnit(writer: Writer, unit: Unit, { identity, sequence, transactional, compression, now }: Stamp): void {
  const from = writer.length;
  let kind: Compression = "none";
  if (compression === "none") writer.raw(unit.data);
  else {
    const packed = compress(compression, unit.data.subarray(HEADER_BYTES));
    const pays = packed.length < unit.data.length - HEADER_BYTES;
    if (pays) kind = compression;
    writer.raw(unit.data.subarray(0, HEADER_BYTES)).raw(pays ? packed : unit.data.subarray(HEADER_BYTES));
  }
  const batch = writer.view(from);
  writeInt64(batch, 0, AT.baseOffset);
  batch.writeInt32BE(batch.length - 12, AT.length);
  batch.writeInt16BE(COMPRESSION_NAMES.indexOf(kind) | (transactional ? ATTRIBUTE.transactional : 0), AT.attributes);
  writeInt64(batch, identity.id, AT.producerId);
  batch.writeInt16BE(identity.epoch, AT.producerEpoch);
  batch.writeInt32BE(sequence, AT.baseSequence);
  batch.writeUInt32BE(0, AT.crc);
  stampIfUntimed(batch, 0, batch.length, now);
  fillCrc(batch, 0, batch.length);
}

const SEQUENCES = 2 ** 31;

/** The sequence number after `count` more records; it wraps as Kafka's does. */
export function nextSequence(sequence: number, count: number): number {
  return (sequence + count) % SEQUENCES;
}
