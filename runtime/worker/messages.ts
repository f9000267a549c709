import type { Manifest } from "../bundle/manifest.ts";
import type { EngineSettings, FunctionSettings, Limits, ResolvedConfig } from "../config/resolved.ts";
import type { ErrorWire } from "../errors.ts";
import type { GetQuery, ListQuery, RouteRequest } from "../host/api.ts";
import type { Membership } from "../log/kafka/api/offsets.ts";
import type { CommitRequest, FetchRequest, OutBatch, TopicPartition, TopicSpec } from "../log/log.ts";
import type { LatencySnapshot } from "../observe/latency-histogram.ts";
import type { LogMetrics } from "../observe/log-series.ts";
import type { TaskState } from "../task/states.ts";

/** Everything that crosses between the main thread and a worker. Messages of one turn travel as one array. */

export interface WorkerData {
  readonly id: number;
  /** Application name of the config: functions are `<name>-<function>`. */
  readonly name: string;
  readonly engine: EngineSettings;
  readonly limits: Limits;
  readonly dev: boolean;
  /** This worker's share of `cache.max.bytes.buffering`. */
  readonly cacheBytes: number;
  /** Bytes of RocksDB memory for all stores of the host. */
  readonly storeMemoryBytes: number;
  /** Partitions of topics nobody configured. */
  readonly defaultPartitions: number;
  readonly cells: SharedArrayBuffer;
  /** For so long, ms, one async call at a time: the thread before hung in one of several, and nobody knows in which. */
  readonly aloneMs: number;
  /** Kafka: the worker opens its own. Embedded: it lives in the main thread. */
  readonly log: ResolvedConfig["log"];
  /** This run of the host, in the headers of events it waits for (see invoke-header.ts). */
  readonly invokeToken: string;
}

/** Where a function's code is and how it is to run. */
export interface FunctionCode {
  readonly manifest: Manifest;
  /** URL of the bundle to import. */
  readonly bundle: string;
  /** The config's settings merged over the file's. */
  readonly settings: FunctionSettings;
}

export interface TaskAssignment {
  readonly function: string;
  readonly subtopology: number;
  readonly partition: number;
  /** Number in the worker's cells. */
  readonly index: number;
  /** Records an earlier worker hung or died on: left out, by the error policy. */
  readonly poisons: readonly { readonly topic: string; readonly partition: number; readonly offset: number; readonly error: ErrorWire }[];
}

export type Query =
  | { readonly kind: "get"; readonly key: string; readonly query: GetQuery }
  | { readonly kind: "list"; readonly query: ListQuery; readonly maxBytes?: number }
  | { readonly kind: "count"; readonly query: ListQuery };

/** Main thread → worker. */
export type ToWorker =
  | {
      readonly kind: "assign";
      readonly code: readonly FunctionCode[];
      readonly tasks: readonly TaskAssignment[];
      readonly partitions: readonly (readonly [string, number])[] /** Stores on the host, to share the memory. */;
      readonly stores: number /** By group, where the host stands in it: to be known before anything is committed. */;
      readonly memberships: readonly (readonly [string, Membership])[];
    }
  /** Gives a function's tasks up; `commit` false: they are somebody else's already. */
  | { readonly kind: "release"; readonly request: number; readonly function: string; readonly commit: boolean }
  | { readonly kind: "swap"; readonly request: number; readonly code: FunctionCode }
  | {
      readonly kind: "watch";
      readonly function: string;
      readonly topic: string;
      readonly partition: number;
      readonly wait: "processed" | "committed";
      readonly offsets: readonly number[];
      readonly ids: readonly number[];
    }
  | {
      readonly kind: "query";
      readonly request: number;
      readonly function: string;
      readonly partition: number;
      readonly store: string;
      readonly query: Query;
    }
  | { readonly kind: "live"; readonly function: string; readonly on: boolean }
  /** Shows in the cells that the worker's event loop turns. */
  | { readonly kind: "ping" }
  | { readonly kind: "route"; readonly request: number; readonly function: string; readonly route: RouteRequest }
  | { readonly kind: "status"; readonly request: number }
  | { readonly kind: "commit"; readonly request: number }
  | { readonly kind: "close"; readonly request: number }
  | { readonly kind: "answer"; readonly request: number; readonly value?: unknown; readonly error?: ErrorWire };

/** Worker → main thread. */
export type FromWorker =
  | { readonly kind: "log"; readonly request: number; readonly call: LogCall }
  | { readonly kind: "abort"; readonly request: number }
  | { readonly kind: "answer"; readonly request: number; readonly value?: unknown; readonly error?: ErrorWire }
  /** JSON texts of answered invokes, or problems. */
  | ({ readonly kind: "watched" } & WatchedAnswers)
  | {
      readonly kind: "task";
      readonly function: string;
      readonly task: string;
      readonly partition: number;
      readonly state: TaskState;
      readonly error?: ErrorWire;
    }
  | { readonly kind: "restore"; readonly event: RestoreEvent }
  | { readonly kind: "changed"; readonly function: string; readonly keys: readonly string[]; readonly bodies: readonly string[] }
  | { readonly kind: "read"; readonly request: number; readonly function: string; readonly query: Query }
  /** Is the host still a member of the function's group? Asked by a task whose commit was fenced. */
  | { readonly kind: "member"; readonly request: number; readonly function: string }
  | {
      readonly kind: "notice";
      readonly level: "debug" | "info" | "warn" | "error";
      readonly message: string;
      readonly fields: Record<string, unknown>;
    };

export interface WatchedAnswers {
  readonly ids: readonly number[];
  readonly bodies: readonly (string | ErrorWire)[];
}

export type LogCall =
  | { readonly op: "fetch"; readonly fetch: Omit<FetchRequest, "signal"> }
  | { readonly op: "append"; readonly batches: readonly OutBatch[] }
  /** `answers` wait for this commit: given out as soon as the log has it, without another message. */
  | { readonly op: "commit"; readonly commit: CommitRequest; readonly answers?: WatchedAnswers }
  | { readonly op: "offsets"; readonly partitions: readonly TopicPartition[] }
  | { readonly op: "committed"; readonly group: string; readonly partitions: readonly TopicPartition[] }
  | { readonly op: "ensureTopic"; readonly spec: TopicSpec }
  | { readonly op: "describe"; readonly topic: string };

/** What a restore listener hears. */
export type RestoreEvent =
  | {
      readonly kind: "start";
      readonly function: string;
      readonly task: string;
      readonly store: string;
      readonly topic: string;
      readonly startingOffset: number;
      readonly endingOffset: number;
    }
  | {
      readonly kind: "batch";
      readonly function: string;
      readonly task: string;
      readonly store: string;
      readonly topic: string;
      readonly batchEndOffset: number;
      readonly records: number;
    }
  | {
      readonly kind: "end";
      readonly function: string;
      readonly task: string;
      readonly store: string;
      readonly topic: string;
      readonly totalRestored: number;
    };

/** One task's numbers for `GET /v1/tasks` and metrics. */
export interface TaskStatus {
  readonly function: string;
  readonly task: string;
  readonly partition: number;
  readonly state: TaskState;
  readonly positions: Record<string, number>;
  readonly committed: Record<string, number>;
  readonly lag: number;
  readonly restore?: { store: string; position: number; end: number };
  readonly entries: Record<string, number>;
  readonly processLatency?: LatencySnapshot;
  readonly commitLatency?: LatencySnapshot;
  readonly counters: {
    processed: number;
    failures: number;
    retries: number;
    deadLettered: number;
    punctuations: number;
    commits: number;
    rollbacks: number;
    dropped: Record<string, number>;
  };
}

export interface WorkerStatus {
  readonly worker: number;
  readonly tasks: TaskStatus[];
  readonly cache: { usedBytes: number; dirtyBytes: number; hits: number; misses: number };
  readonly heapBytes: number;
  /** Of the worker's own log, on Kafka. */
  readonly log?: LogMetrics;
  /** Iterators of its stores that somebody reads, and how long the oldest has been open, ms. */
  readonly iterators: { open: number; oldestMs: number };
}
