import type { Reader, Writer } from "../wire.ts";

/**
 * One request of Kafka's protocol in the one version we speak: the newest before "flexible" encodings where that is enough. Every
 * broker from 3.0 on understands all of them.
 */
export interface Api<Request, Response> {
  readonly key: number;
  readonly version: number;
  readonly name: string;
  /** Newer encoding: the headers of request and response end with tagged fields. */
  readonly flexible?: boolean;
  /** Bytes to reserve for a request. Default 256. */
  size?(request: Request): number;
  write(writer: Writer, request: Request): void;
  read(reader: Reader): Response;
}

export interface PartitionError {
  readonly topic: string;
  readonly partition: number;
  readonly errorCode: number;
}

/** Items with a topic, as the protocol wants them: one entry a topic. */
export function byTopic<T extends { readonly topic: string }>(items: readonly T[]): [topic: string, items: T[]][] {
  const topics = new Map<string, T[]>();
  for (const item of items) {
    const known = topics.get(item.topic);
    if (known === undefined) topics.set(item.topic, [item]);
    else known.push(item);
  }
  return [...topics];
}

/** Partition results inside topic results, flattened. */
export function readTopics<T>(reader: Reader, readPartition: (reader: Reader, topic: string) => T): T[] {
  return reader
    .array((topics) => {
      const topic = topics.text();
      return topics.array((partitions) => readPartition(partitions, topic));
    })
    .flat();
}

export function readPartitionErrors(reader: Reader): PartitionError[] {
  return readTopics(reader, (r, topic) => ({ topic, partition: r.int32(), errorCode: r.int16() }));
}
