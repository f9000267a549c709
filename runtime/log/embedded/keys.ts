/**
 * Keys of the one RocksDB column, by first byte. Batches are filed under the offset of their *last* record, so that a seek to a
 * position finds the batch that holds it, whatever its size and whatever compaction took out of it.
 *
 *   01 topic                              JSON of the topic
 *   02 group 00 topic 00 partition        JSON of a committed offset
 *   03 topic id, partition                JSON of a partition's bounds
 *   04 topic id                           a deleted topic whose batches are still to be dropped
 *   10 topic id, partition, last offset   one record batch
 */
const TOPIC = 1;
const OFFSET = 2;
const PARTITION = 3;
const DELETED = 4;
const BATCH = 16;

const TWO_32 = 4294967296;

export type Range = { readonly gte: Buffer; readonly lt: Buffer };

export const topicKey = (name: string): Buffer => Buffer.from(`${String.fromCharCode(TOPIC)}${name}`);
export const allTopics = (): Range => ({ gte: Buffer.of(TOPIC), lt: Buffer.of(TOPIC + 1) });

export const offsetKey = (group: string, topic: string, partition: number): Buffer =>
  Buffer.from(`${String.fromCharCode(OFFSET)}${group}\0${topic}\0${partition}`);
export const allOffsets = (): Range => ({ gte: Buffer.of(OFFSET), lt: Buffer.of(OFFSET + 1) });

export const partitionKey = (topicId: number, partition: number): Buffer => ids(PARTITION, topicId, partition);
export const partitionsOf = (topicId: number): Range => ({ gte: ids(PARTITION, topicId, 0), lt: ids(PARTITION, topicId + 1, 0) });

export const deletedKey = (topicId: number): Buffer => ids(DELETED, topicId, 0);
export const allDeleted = (): Range => ({ gte: Buffer.of(DELETED), lt: Buffer.of(DELETED + 1) });
export const deletedId = (key: Buffer): number => key.readUInt32BE(1);

export const batchesOf = (topicId: number): Range => ({ gte: ids(BATCH, topicId, 0), lt: ids(BATCH, topicId + 1, 0) });

/** Key of the batch of a partition whose last record has this offset. */
export function batchKey(topicId: number, partition: number, lastOffset: number): Buffer {
  const key = Buffer.allocUnsafe(17);
  key[0] = BATCH;
  key.writeUInt32BE(topicId, 1);
  key.writeUInt32BE(partition, 5);
  const high = Math.floor(lastOffset / TWO_32);
  key.writeUInt32BE(high, 9);
  key.writeUInt32BE(lastOffset - high * TWO_32, 13);
  return key;
}

export function lastOffsetOf(key: Buffer): number {
  return key.readUInt32BE(9) * TWO_32 + key.readUInt32BE(13);
}

function ids(kind: number, topicId: number, partition: number): Buffer {
  const key = Buffer.allocUnsafe(9);
  key[0] = kind;
  key.writeUInt32BE(topicId, 1);
  key.writeUInt32BE(partition, 5);
  return key;
}
