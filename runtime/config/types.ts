import type { Duration } from "../define/duration.ts";
import type { EngineSettings, FunctionSettings, Limits } from "./resolved.ts";

/** Bytes, or text such as `"64 KiB"`, `"10 MiB"`, `"1 GB"`. */
export type Size = number | `${number} ${string}` | `${number}${string}`;

/** Numbers that are times or sizes may be written as text. */
type Written<T, Key> = Key extends `${string}.ms` ? Duration : Key extends `${string}bytes${string}` ? Size : T;
type Authored<T> = { readonly [K in keyof T]?: Written<T[K], K> };

export type EngineConfig = Authored<EngineSettings>;
export type FunctionConfig = Authored<FunctionSettings>;
export type FunctionDefaultsConfig = Omit<FunctionConfig, "source" | "sink">;
export type LimitsConfig = Authored<Limits>;
/** Function settings with Kafka's names: at the top level they are defaults of all functions. */
type SharedConfig = Pick<
  FunctionConfig,
  "retry.backoff.ms" | "max.in.flight.keys" | "errors.dead.letter.queue.topic.name" | "auto.offset.reset"
>;

export interface EmbeddedLogConfig {
  readonly kind: "embedded";
  /** When a write counts as durable: `os` survives the process, `commit` (an fsync each) survives the machine. Default `os`. */
  readonly flush?: "os" | "commit";
}

export interface KafkaLogConfig {
  readonly kind: "kafka";
  /** `host:port` of some of the cluster's brokers. */
  readonly brokers?: readonly string[];
  /** true, or options of Node's `tls.connect`. Default false. */
  readonly ssl?: boolean | Readonly<Record<string, unknown>>;
  readonly sasl?: {
    readonly mechanism: "plain" | "scram-sha-256" | "scram-sha-512";
    readonly username: string;
    readonly password?: string;
  };
  readonly compression?: "none" | "gzip" | "snappy" | "lz4" | "zstd";
  /** Replicas of topics made here. Default: the cluster's. */
  readonly replicationFactor?: number;
}

/** Kafka's topic settings by their own names. */
export interface TopicSettings {
  /** Default: `defaultPartitions`. */
  readonly partitions?: number;
  readonly "cleanup.policy"?: "delete" | "compact" | "compact,delete";
  /** -1: for ever. */
  readonly "retention.ms"?: Duration;
  /** -1: no limit. */
  readonly "retention.bytes"?: Size;
  readonly "delete.retention.ms"?: Duration;
  readonly "min.compaction.lag.ms"?: Duration;
  readonly "max.compaction.lag.ms"?: Duration;
  readonly "min.cleanable.dirty.ratio"?: number;
  readonly "segment.ms"?: Duration;
  readonly "segment.bytes"?: Size;
  readonly "max.message.bytes"?: Size;
  readonly "min.insync.replicas"?: number;
  readonly "compression.type"?: "producer" | "uncompressed" | "gzip" | "snappy" | "lz4" | "zstd";
  readonly "message.timestamp.type"?: "CreateTime" | "LogAppendTime";
  readonly "unclean.leader.election.enable"?: boolean;
}

/** What `env.<name>` may hold: the same keys, laid over the rest when `--env <name>` is given. */
export interface ConfigLayer extends EngineConfig, SharedConfig {
  /** Name of the application, part of every consumer group and changelog. Default: the name in package.json. */
  readonly name?: string;
  /** Directory with one file for each function. Default `functions`. */
  readonly functionsDir?: string;
  /** Where bundles and manifests go. Default `.keyfold/build`. */
  readonly buildDir?: string;
  /** Where events, changelogs and offsets are kept. Default `{ kind: "embedded" }`. */
  readonly log?: EmbeddedLogConfig | KafkaLogConfig;
  readonly topics?: Readonly<Record<string, TopicSettings>>;
  /** Partitions of a topic that is not under `topics`. Default 4. */
  readonly defaultPartitions?: number;
  /** Settings of single functions; they win over those in the function's file. */
  readonly functions?: Readonly<Record<string, FunctionConfig>>;
  /** Settings of all functions; those in a function's file win over them. */
  readonly functionDefaults?: FunctionDefaultsConfig;
  readonly limits?: LimitsConfig;
  readonly http?: {
    /** Public listener. Default 8787. */
    readonly port?: number;
    /** Internal listener. Default 8788. */
    readonly internalPort?: number;
    /** Default 127.0.0.1. */
    readonly host?: string;
    /** Default 127.0.0.1. */
    readonly internalHost?: string;
  };
  /** Default `info`. */
  readonly logLevel?: "trace" | "debug" | "info" | "warn" | "error" | "silent";
}

/** What `wrangler-like.config.ts` exports. Every key is optional; docs/config.md lists them with their defaults. */
export interface KeyfoldConfig extends ConfigLayer {
  /** Overlays by environment: `env: { production: { log: { kind: "kafka", brokers: [...] } } }`. */
  readonly env?: Readonly<Record<string, ConfigLayer>>;
}
