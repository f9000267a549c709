import type { OffsetCommit, TopicPartition } from "../../log.ts";
import { type Api, byTopic, type PartitionError, readPartitionErrors } from "./api.ts";
import type { Membership } from "./offsets.ts";

/** A producer as the brokers know it; the epoch grows each time the transactional id is taken over. */
export interface ProducerIdentity {
  readonly id: number;
  readonly epoch: number;
}

export const NO_IDENTITY: ProducerIdentity = { id: -1, epoch: -1 };

/** With `identity` NO_IDENTITY it takes the transactional id over; with our own it renews it, and is refused when somebody else took over. */
export const InitProducerId: Api<
  { readonly transactionalId: string | null; readonly timeoutMs: number; readonly identity: ProducerIdentity },
  { readonly errorCode: number; readonly identity: ProducerIdentity }
> = {
  key: 22,
  version: 3,
  name: "InitProducerId",
  flexible: true,
  write(w, { transactionalId, timeoutMs, identity }) {
    w.compactString(transactionalId).int32(timeoutMs).int64(identity.id).int16(identity.epoch).tags();
  },
  read(r) {
    r.int32();
    return { errorCode: r.int16(), identity: { id: r.int64(), epoch: r.int16() } };
  },
};

interface InTransaction {
  readonly transactionalId: string;
  readonly identity: ProducerIdentity;
}

export const AddPartitionsToTxn: Api<InTransaction & { readonly partitions: readonly TopicPartition[] }, PartitionError[]> = {
  key: 24,
  version: 1,
  name: "AddPartitionsToTxn",
  write(w, { transactionalId, identity, partitions }) {
    w.string(transactionalId).int64(identity.id).int16(identity.epoch);
    w.array(byTopic(partitions), (_, [topic, of]) => {
      w.string(topic).array(of, (_w, p) => {
        w.int32(p.partition);
      });
    });
  },
  read(r) {
    r.int32();
    return readPartitionErrors(r);
  },
};

export const AddOffsetsToTxn: Api<InTransaction & { readonly group: string }, { readonly errorCode: number }> = {
  key: 25,
  version: 1,
  name: "AddOffsetsToTxn",
  write(w, { transactionalId, identity, group }) {
    w.string(transactionalId).int64(identity.id).int16(identity.epoch).string(group);
  },
  read(r) {
    r.int32();
    return { errorCode: r.int16() };
  },
};

/** Version 3: the broker checks the member's generation, and so fences one that was left behind. */
export const TxnOffsetCommit: Api<
  InTransaction & { readonly group: string; readonly member: Membership; readonly offsets: readonly OffsetCommit[] },
  PartitionError[]
> = {
  key: 28,
  version: 3,
  name: "TxnOffsetCommit",
  flexible: true,
  write(w, { transactionalId, group, identity, member, offsets }) {
    w.compactString(transactionalId).compactString(group).int64(identity.id).int16(identity.epoch);
    w.int32(member.generation).compactString(member.memberId).compactString(member.instanceId);
    w.compactArray(byTopic(offsets), (_, [topic, of]) => {
      w.compactString(topic)
        .compactArray(of, (_w, p) => {
          w.int32(p.partition)
            .int64(p.offset)
            .int32(-1)
            .compactString(p.metadata ?? "")
            .tags();
        })
        .tags();
    });
    w.tags();
  },
  read(r) {
    r.int32();
    return r
      .compactArray(() => {
        const topic = r.compactString() ?? "";
        const partitions = r.compactArray(() => {
          const result = { topic, partition: r.int32(), errorCode: r.int16() };
          r.tags();
          return result;
        });
        r.tags();
        return partitions;
      })
      .flat();
  },
};

export const EndTxn: Api<InTransaction & { readonly commit: boolean }, { readonly errorCode: number }> = {
  key: 26,
  version: 1,
  name: "EndTxn",
  write(w, { transactionalId, identity, commit }) {
    w.string(transactionalId).int64(identity.id).int16(identity.epoch).bool(commit);
  },
  read(r) {
    r.int32();
    return { errorCode: r.int16() };
  },
};

/** Where a transactional id's last transaction stands, in Kafka's words: `Ongoing`, `PrepareCommit`, `CompleteCommit`, … */
export const DescribeTransactions: Api<{ readonly transactionalId: string }, { readonly errorCode: number; readonly state: string }> = {
  key: 65,
  version: 0,
  name: "DescribeTransactions",
  flexible: true,
  write(w, { transactionalId }) {
    w.uvarint(2).compactString(transactionalId).tags();
  },
  read(r) {
    r.int32();
    const [found] = r.compactArray(() => {
      const errorCode = r.int16();
      r.compactString();
      const state = r.compactString() ?? "";
      r.int32();
      r.int64();
      r.int64();
      r.int16();
      r.compactArray(() => {
        r.compactString();
        r.compactArray(() => r.int32());
        r.tags();
      });
      r.tags();
      return { errorCode, state };
    });
    return found ?? { errorCode: 0, state: "" };
  },
};
