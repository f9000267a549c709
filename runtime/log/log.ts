/**
 * The Log port: everything the engine asks of a log. Two adapters stand behind it, `embedded/` (in-process,
 * on RocksDB) and `kafka/` (kafkajs); one contract-test suite runs on both. No task, store or operator knows
 * which one it runs on.
 *
 * Words: an *offset* numbers a record in a partition from 0; a *position* is the offset of the next record to read.
 * Offsets may have holes (compaction, transaction markers), so "done" is always a position reaching an end offset,
 * never the sight of a certain record.
 *
 * Records travel as *batches*: bytes in Kafka's record batch format v2 (see record-batch.ts), many of them one after
 * another in one buffer. Offsets, timestamps and sizes are JS numbers (safe to 2^53); timestamps are epoch milliseconds.
 */

export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

/** Topic settings by Kafka's own names (`cleanup.policy`, `retention.ms`, ...). Absent means the broker's default. */
export type TopicConfig = Readonly<Record<string, string>>;

export interface TopicSpec {
  readonly name: string;
  readonly partitions: number;
  readonly config?: TopicConfig;
}

export interface TopicDescription {
  readonly name: string;
  readonly partitions: number;
  readonly config: TopicConfig;
}

/** First readable offset, and the position after the last committed record. */
export interface OffsetRange {
  readonly start: number;
  readonly end: number;
}

export interface FetchRequest extends TopicPartition {
  /** Offset of the first record wanted. Below `start`: KeyfoldError `offset-out-of-range` with the size of the gap. */
  readonly position: number;
  /** Stop after about so many bytes; at least one batch is returned when there is one. */
  readonly maxBytes: number;
  /** How long to wait for the first record when there is none, ms. 0 answers at once. */
  readonly maxWaitMs: number;
  /** Aborting ends the wait: the answer comes at once, with nothing in it. */
  readonly signal?: AbortSignal;
}

export interface Fetched {
  /** Batches in format v2, one after another. May begin with records below the position asked for: the reader skips them. */
  readonly data: Uint8Array;
  /** Where to read on: past everything in `data`, markers and holes included. Equals the request's position when nothing came. */
  readonly next: number;
  /** Log end offset (last stable offset) at the time of the answer. */
  readonly end: number;
}

/** One partition's new records, encoded by a BatchBuilder. The log writes offsets into `data`: leave it alone until the answer. */
export interface OutBatch extends TopicPartition {
  readonly data: Uint8Array;
  /** Number of records in `data`. */
  readonly count: number;
}

export interface OffsetCommit extends TopicPartition {
  /** Position: the next offset to read. */
  readonly offset: number;
  /** Free text kept with the offset; the engine keeps the task's stream time here. */
  readonly metadata?: string;
}

export interface CommitRequest {
  /** Consumer group: the application id. */
  readonly group: string;
  /** Whose commit this is; the unit of fencing (`<application.id>-<task>`). */
  readonly producer: string;
  readonly offsets: readonly OffsetCommit[];
  readonly batches: readonly OutBatch[];
  /** true: batches and offsets become visible together or not at all (exactly-once). false: batches first, then offsets. */
  readonly atomic: boolean;
}

export interface Log {
  readonly kind: "embedded" | "kafka";
  /** Creates the topic, or checks that the existing one agrees (else KeyfoldError `topic-mismatch`, naming both values). */
  ensureTopic(spec: TopicSpec): Promise<TopicDescription>;
  describe(topic: string): Promise<TopicDescription | undefined>;
  topics(): Promise<TopicDescription[]>;
  deleteTopic(topic: string): Promise<void>;
  offsets(partitions: readonly TopicPartition[]): Promise<OffsetRange[]>;
  fetch(request: FetchRequest): Promise<Fetched>;
  /** Appends each batch to its partition; resolves, when all are durable, to the offset of each batch's first record. */
  append(batches: readonly OutBatch[]): Promise<number[]>;
  /** Appends and commits offsets; resolves like `append`. A producer that was superseded gets `fenced`. */
  commit(request: CommitRequest): Promise<number[]>;
  committed(group: string, partitions: readonly TopicPartition[]): Promise<(OffsetCommit | undefined)[]>;
  /** Forgets a group's offsets (`reset`). */
  deleteGroup(group: string): Promise<void>;
  close(): Promise<void>;
}
