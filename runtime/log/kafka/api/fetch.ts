import type { TopicPartition } from "../../log.ts";
import { type Api, byTopic, readTopics } from "./api.ts";

export interface FetchPartition extends TopicPartition {
  readonly position: number;
  readonly maxBytes: number;
}

export interface FetchQuery {
  readonly maxWaitMs: number;
  readonly maxBytes: number;
  readonly partitions: readonly FetchPartition[];
}

/** A transaction that was aborted: transactional batches of this producer from this offset on are void, up to its abort marker. */
export interface AbortedTransaction {
  readonly producerId: number;
  readonly firstOffset: number;
}

export interface PartitionData extends TopicPartition {
  readonly errorCode: number;
  readonly lastStableOffset: number;
  readonly aborted: readonly AbortedTransaction[];
  /** Record batches as the broker keeps them, the last one perhaps cut off: a view of the response. */
  readonly records: Buffer | null;
}

/** read_committed, outside a fetch session: the fetcher asks for other partitions each time. */
export const Fetch: Api<FetchQuery, { readonly errorCode: number; readonly partitions: PartitionData[] }> = {
  key: 1,
  version: 11,
  name: "Fetch",
  write(w, { maxWaitMs, maxBytes, partitions }) {
    w.int32(-1).int32(maxWaitMs).int32(1).int32(maxBytes).int8(1).int32(0).int32(-1);
    w.array(byTopic(partitions), (_, [topic, of]) => {
      w.string(topic).array(of, (_w, p) => {
        w.int32(p.partition).int32(-1).int64(p.position).int64(-1).int32(p.maxBytes);
      });
    });
    w.int32(0).string("");
  },
  read(r) {
    r.int32();
    const errorCode = r.int16();
    r.int32();
    return {
      errorCode,
      partitions: readTopics(r, (_, topic) => {
        const partition = r.int32();
        const code = r.int16();
        r.int64();
        const lastStableOffset = r.int64();
        r.int64();
        const aborted = r.array(() => ({ producerId: r.int64(), firstOffset: r.int64() }));
        r.int32();
        return { topic, partition, errorCode: code, lastStableOffset, aborted, records: r.bytes() };
      }),
    };
  },
};

export const EARLIEST = -2;
export const LATEST = -1;

/** `at`: EARLIEST, or LATEST: the last stable offset, or with `uncommitted` the end of what is in all replicas. */
export const ListOffsets: Api<
  { readonly partitions: readonly (TopicPartition & { readonly at: number })[]; readonly uncommitted?: boolean },
  (TopicPartition & { readonly errorCode: number; readonly offset: number })[]
> = {
  key: 2,
  version: 2,
  name: "ListOffsets",
  write(w, { partitions, uncommitted = false }) {
    w.int32(-1).int8(uncommitted ? 0 : 1);
    w.array(byTopic(partitions), (_, [topic, of]) => {
      w.string(topic).array(of, (_w, p) => {
        w.int32(p.partition).int64(p.at);
      });
    });
  },
  read(r) {
    r.int32();
    return readTopics(r, (_, topic) => {
      const partition = r.int32();
      const errorCode = r.int16();
      r.int64();
      return { topic, partition, errorCode, offset: r.int64() };
    });
  },
};
