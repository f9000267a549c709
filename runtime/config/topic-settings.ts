import { z } from "zod";
import { bytes, duration, flag, oneOf, other, setting, whole } from "./leaf.ts";

const broker = { defaultText: "the log's" };
const forever = (inner: { parse(raw: unknown): number | undefined; allowed: string }) =>
  other(`${inner.allowed}; -1 for no limit`, (raw) => (raw === -1 ? -1 : inner.parse(raw)));

/** `topics.<name>`: Kafka's own topic settings by their own names, next to the number of partitions. */
export const topicSettings = z.strictObject({
  partitions: setting(whole(1, 10_000), {
    defaultText: "`defaultPartitions`",
    doc: "Number of partitions. Cannot be changed once the topic is there.",
  }),
  "cleanup.policy": setting(oneOf("delete", "compact", "compact,delete"), {
    ...broker,
    doc: "Whether old records are deleted, compacted by key, or both.",
  }),
  "retention.ms": setting(forever(duration()), { ...broker, unit: "ms", doc: "How long records are kept under `delete`." }),
  "retention.bytes": setting(forever(bytes()), { ...broker, unit: "bytes", doc: "How many bytes of a partition are kept under `delete`." }),
  "delete.retention.ms": setting(duration(), { ...broker, doc: "How long tombstones stay in a compacted topic." }),
  "min.compaction.lag.ms": setting(duration(), { ...broker, doc: "How long a record is safe from compaction." }),
  "max.compaction.lag.ms": setting(duration(), { ...broker, doc: "After how long a record must have been compacted." }),
  "min.cleanable.dirty.ratio": setting(
    other("a number from 0 to 1", (raw) => (typeof raw === "number" && raw >= 0 && raw <= 1 ? raw : undefined)),
    { ...broker, doc: "Share of a log that must be new before it is compacted." },
  ),
  "segment.ms": setting(duration(1), { ...broker, doc: "Age at which a segment is closed (only closed ones are cleaned)." }),
  "segment.bytes": setting(bytes(14), { ...broker, doc: "Size at which a segment is closed." }),
  "max.message.bytes": setting(bytes(), { ...broker, doc: "Largest batch of records." }),
  "min.insync.replicas": setting(whole(1), { ...broker, doc: "Replicas that must have a write before it counts." }),
  "compression.type": setting(oneOf("producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"), {
    ...broker,
    doc: "Compression on the broker's disk.",
  }),
  "message.timestamp.type": setting(oneOf("CreateTime", "LogAppendTime"), { ...broker, doc: "Whose clock stamps the records." }),
  "unclean.leader.election.enable": setting(flag, {
    ...broker,
    doc: "Whether a replica that is behind may become leader, losing records.",
  }),
});
