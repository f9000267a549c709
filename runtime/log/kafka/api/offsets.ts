import type { OffsetCommit as Position, TopicPartition } from "../../log.ts";
import { type Api, byTopic, type PartitionError, readPartitionErrors } from "./api.ts";

/** Where a member stands in its group: what fences one that was left behind. */
export interface Membership {
  readonly memberId: string;
  readonly generation: number;
  readonly instanceId: string | null;
}

/** Somebody outside the group protocol: allowed while the group has no members. */
export const NO_MEMBER: Membership = { memberId: "", generation: -1, instanceId: null };

export const OffsetCommit: Api<
  { readonly group: string; readonly member: Membership; readonly offsets: readonly Position[] },
  PartitionError[]
> = {
  key: 8,
  version: 7,
  name: "OffsetCommit",
  write(w, { group, member, offsets }) {
    w.string(group).int32(member.generation).string(member.memberId).string(member.instanceId);
    w.array(byTopic(offsets), (_, [topic, of]) => {
      w.string(topic).array(of, (_w, p) => {
        w.int32(p.partition)
          .int64(p.offset)
          .int32(-1)
          .string(p.metadata ?? "");
      });
    });
  },
  read(r) {
    r.int32();
    return readPartitionErrors(r);
  },
};

export interface FetchedOffset extends TopicPartition {
  /** -1: none was committed. */
  readonly offset: number;
  readonly metadata: string | null;
  readonly errorCode: number;
}

/** Stable offsets only: while a transaction with offsets of a partition is open, its answer is UNSTABLE_OFFSET_COMMIT. */
export const OffsetFetch: Api<
  { readonly group: string; readonly partitions: readonly TopicPartition[] },
  { readonly errorCode: number; readonly offsets: FetchedOffset[] }
> = {
  key: 9,
  version: 7,
  name: "OffsetFetch",
  flexible: true,
  write(w, { group, partitions }) {
    w.compactString(group);
    w.compactArray(byTopic(partitions), (_, [topic, of]) => {
      w.compactString(topic)
        .compactArray(of, (_w, p) => {
          w.int32(p.partition);
        })
        .tags();
    });
    w.bool(true).tags();
  },
  read(r) {
    r.int32();
    const offsets = r
      .compactArray(() => {
        const topic = r.compactString() ?? "";
        const partitions = r.compactArray(() => {
          const partition = r.int32();
          const offset = r.int64();
          r.int32();
          const found = { topic, partition, offset, metadata: r.compactString(), errorCode: r.int16() };
          r.tags();
          return found;
        });
        r.tags();
        return partitions;
      })
      .flat();
    return { offsets, errorCode: r.int16() };
  },
};
