import type { TopicPartition } from "../../log.ts";
import type { Writer } from "../wire.ts";
import { type Api, byTopic, readTopics } from "./api.ts";

export interface ProducePartition extends TopicPartition {
  /** Writes exactly one record batch, ready for the broker. */
  writeBatch(writer: Writer): void;
}

export interface ProduceQuery {
  readonly transactionalId: string | null;
  /** How long the broker may wait for its replicas, ms. */
  readonly timeoutMs: number;
  /** About how large the request will be, bytes: saves growing its buffer. */
  readonly size: number;
  readonly partitions: readonly ProducePartition[];
}

export interface Produced extends TopicPartition {
  readonly errorCode: number;
  readonly baseOffset: number;
}

/** acks=all, always. */
export const Produce: Api<ProduceQuery, Produced[]> = {
  key: 0,
  version: 7,
  name: "Produce",
  size: (query) => query.size,
  write(w, { transactionalId, timeoutMs, partitions }) {
    w.string(transactionalId).int16(-1).int32(timeoutMs);
    w.array(byTopic(partitions), (_, [topic, of]) => {
      w.string(topic).array(of, (_w, p) => {
        w.int32(p.partition).sized(() => p.writeBatch(w));
      });
    });
  },
  read(r) {
    return readTopics(r, (_, topic) => {
      const produced = { topic, partition: r.int32(), errorCode: r.int16(), baseOffset: r.int64() };
      r.int64();
      r.int64();
      return produced;
    });
  },
};
