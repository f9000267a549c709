import type { TopicConfig } from "../log/log.ts";

/** What is left of the config once overlays, environment variables and flags are merged and checked. Plain data: it crosses threads. */
export interface ResolvedConfig {
  readonly name: string;
  /** Directory of the config file; every relative path is resolved against it. */
  readonly root: string;
  /** Absolute path of the config file; absent when the project has none. */
  readonly configFile?: string;
  readonly functionsDir: string;
  /** `<root>/.keyfold/build` */
  readonly buildDir: string;
  readonly dev: boolean;
  readonly log:
    | { readonly kind: "embedded"; readonly flush: "os" | "commit" }
    | {
        readonly kind: "kafka";
        readonly brokers: readonly string[];
        readonly ssl?: boolean | Readonly<Record<string, unknown>>;
        readonly sasl?: {
          readonly mechanism: "plain" | "scram-sha-256" | "scram-sha-512";
          readonly username: string;
          readonly password: string;
        };
        readonly compression?: "none" | "gzip" | "snappy" | "lz4" | "zstd";
        readonly replicationFactor?: number;
      };
  readonly topics: Readonly<Record<string, { readonly partitions: number; readonly config: TopicConfig }>>;
  /** Partitions of a topic nobody configured. Default 4. */
  readonly defaultPartitions: number;
  readonly engine: EngineSettings;
  readonly functions: Readonly<Record<string, FunctionSettings>>;
  readonly functionDefaults: FunctionSettings;
  readonly limits: Limits;
  readonly http: { readonly port: number; readonly internalPort: number; readonly host: string; readonly internalHost: string };
  readonly logLevel: "trace" | "debug" | "info" | "warn" | "error" | "silent";
}

/** Kafka's names, units and defaults unless the comment says otherwise. */
export interface EngineSettings {
  /** Bytes of record cache over all workers; 0 turns it off. Default 10 MiB. */
  readonly "cache.max.bytes.buffering": number;
  /** Default 30 000; 100 under exactly_once_v2. */
  readonly "commit.interval.ms": number;
  readonly "processing.guarantee": "at_least_once" | "exactly_once_v2";
  /** Worker threads. Default: one less than there are cores (the main thread has one), 1 to 4. */
  readonly "num.stream.threads": number;
  readonly "state.dir": string;
  readonly "state.cleanup.delay.ms": number;
  readonly "max.task.idle.ms": number;
  readonly "group.instance.id"?: string;
  readonly "session.timeout.ms": number;
  readonly "num.standby.replicas": number;
  readonly "acceptable.recovery.lag": number;
  readonly "max.warmup.replicas": number;
  readonly "probing.rebalance.interval.ms": number;
  /** Ours: bytes for all RocksDB memtables and block caches of the host and for the rows written last. Default 64 MiB. */
  readonly "state.memory.bytes": number;
  /** Ours: bytes asked of the log at once for one partition. Default 1 MiB. */
  readonly "fetch.max.bytes": number;
}

/** Settings of one function; those in the config win over those in its file. */
export interface FunctionSettings {
  /** Topics to read, for a bare reducer without a source of its own. */
  readonly source?: string | readonly string[];
  readonly sink?: string;
  /** What a failing record does. Default `dead-letter`. */
  readonly onError?: ErrorPolicy;
  /** Attempts before `retry` gives the record to the dead-letter topic. Default 5. */
  readonly retries?: number;
  /** First pause between attempts, ms; doubles each time up to 30 s. Default 100. */
  readonly "retry.backoff.ms"?: number;
  /** Topic for records given up. Default `<application.id>-dead-letters`. */
  readonly "errors.dead.letter.queue.topic.name"?: string;
  /** Keys an async reducer works on at once in one task. Default 64. */
  readonly "max.in.flight.keys"?: number;
  /** Overrides of engine settings for this function's application. */
  readonly "commit.interval.ms"?: number;
  readonly "processing.guarantee"?: "at_least_once" | "exactly_once_v2";
  readonly "auto.offset.reset"?: "earliest" | "latest";
}

export type ErrorPolicy = "retry" | "dead-letter" | "fail";

/** One block; every refusal names limit, value and setting. Sizes in bytes, times in ms. */
export interface Limits {
  /** HTTP request body, and a route's answer. Default 8 MiB (NDJSON streams: per line). */
  readonly "body.max.bytes": number;
  /** Records in one append. Default 10 000 (NDJSON streams are unlimited). */
  readonly "batch.max.records": number;
  /** Key length. Default 4 KiB. */
  readonly "key.max.bytes": number;
  /** One record's value. Default 1 MiB. */
  readonly "record.max.bytes": number;
  /** One key's state, encoded. Default 1 MiB. */
  readonly "state.max.bytes": number;
  /** A reducer call that takes longer is hung. Default 5 000. */
  readonly "reducer.timeout.ms": number;
  /** V8 heap of one worker. Default 512 MiB. */
  readonly "worker.heap.max.bytes": number;
  /** Open server-sent-event streams. Default 1 000. */
  readonly "live.max.clients": number;
  /** Longest wait of an invoke or an at-least read. Default 30 000. */
  readonly "wait.max.ms": number;
  /** Longest wait of a stopping host for its last commit. Default 10 000. */
  readonly "stop.max.ms": number;
}
