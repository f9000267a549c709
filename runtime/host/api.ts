import type { Manifest } from "../bundle/manifest.ts";
import type { TopicDescription } from "../log/log.ts";

/** What HTTP, the command line's `start` and the demo ask of a running host. Values cross as JSON text, so that they are encoded once. */
export interface HostApi {
  readonly config: { readonly limits: import("../config/resolved.ts").Limits };
  /** The engine's own topics: changelogs and repartition topics. */
  isInternal(topic: string): boolean;
  functions(): Promise<FunctionInfo[]>;
  tasks(): Promise<TaskInfo[]>;
  topics(): Promise<TopicInfo[]>;
  hosts(): HostInfo[];
  /** Appends records to a user topic (created with default partitions when unknown); resolves when durable, in input order. */
  append(topic: string, records: readonly InputRecord[]): Promise<Position[]>;
  /** Appends one event and waits for the state after it. Resolves to the JSON text of the answer. */
  invoke(fn: string, key: string, event: Uint8Array, wait: "processed" | "committed"): Promise<string>;
  /** JSON text of `{ key, value, timestamp, partition, offset, lag }` (or windows); undefined: no state. */
  get(fn: string, key: string, query: GetQuery): Promise<string | undefined>;
  list(fn: string, query: ListQuery): Promise<{ items: string[]; cursor: string | null }>;
  count(fn: string, query: ListQuery): Promise<number>;
  metadata(
    fn: string,
    key: string,
  ): { partition: number; active: { id: string; url: string } | null; standbys: { id: string; url: string; lag: number }[] };
  /** Live changes of a key, or of all keys of a function; `listener` gets the JSON text of one change. Returns the unsubscribe. */
  live(fn: string, key: string | undefined, listener: (json: string) => void): () => void;
  /** Runs the function's own Hono routes in a worker. */
  route(fn: string, request: RouteRequest): Promise<RouteResponse>;
  /** Reads a topic's records from a position on (for `tail`); waits up to maxWaitMs for the first. */
  read(
    topic: string,
    partition: number,
    position: number,
    maxWaitMs: number,
  ): Promise<{ records: TailRecord[]; next: number; end: number }>;
  /** Empty: healthy. */
  unhealthy(): string[];
  /** Empty: every task runs, and every worker answers. */
  notReady(): string[];
  /** Prometheus text format 0.0.4. */
  metrics(): Promise<string>;
}

export interface InputRecord {
  readonly key: string | null;
  /** Encoded value (JSON bytes by default); null is a tombstone. */
  readonly value: Uint8Array | null;
  readonly timestamp?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Position {
  readonly partition: number;
  readonly offset: number;
}

export interface GetQuery {
  /** Wait until the partition's source position has passed this offset. */
  readonly atLeast?: Position;
  readonly stale?: boolean;
  readonly asOf?: number;
  readonly from?: number;
  readonly to?: number;
}

export interface ListQuery {
  readonly prefix?: string;
  readonly from?: string;
  readonly to?: string;
  readonly limit: number;
  /** Opaque, from the page before. */
  readonly cursor?: string;
}

export interface FunctionInfo {
  readonly name: string;
  readonly version: string;
  readonly state: "CREATED" | "REBALANCING" | "RUNNING" | "PENDING_SHUTDOWN" | "NOT_RUNNING" | "ERROR";
  readonly sources: readonly string[];
  readonly sinks: readonly string[];
  readonly stores: readonly string[];
  readonly lag: number;
  readonly error?: string;
  readonly manifest: Manifest;
}

export interface TaskInfo {
  readonly function: string;
  readonly task: string;
  readonly worker: number;
  readonly state: string;
  readonly positions: Readonly<Record<string, number>>;
  readonly committed: Readonly<Record<string, number>>;
  readonly lag: number;
  readonly restore?: { readonly store: string; readonly position: number; readonly end: number };
  readonly entries: Readonly<Record<string, number>>;
  /** The worker has not answered just now: all this is what was last known. */
  readonly stale?: boolean;
}

export interface TopicInfo extends TopicDescription {
  readonly internal: boolean;
  readonly offsets: readonly { readonly partition: number; readonly start: number; readonly end: number }[];
}

export interface HostInfo {
  readonly id: string;
  readonly url: string;
  readonly tasks: number;
}

export interface RouteRequest {
  readonly method: string;
  /** Path below `/v1/functions/{fn}/routes`, with query. */
  readonly path: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Uint8Array | null;
}

export interface RouteResponse {
  readonly status: number;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Uint8Array | null;
}

export interface TailRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly timestamp: number;
  readonly key: string | null;
  /** Decoded when it can be; else `{ "base64": ... }`. */
  readonly value: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}
