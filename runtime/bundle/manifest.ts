import type { FunctionSettings } from "../config/resolved.ts";
import type { TopicConfig } from "../log/log.ts";
import type { StoreLayout } from "../state/store.ts";
import type { StepInfo } from "../topology/topology.ts";

/**
 * What a build says of a function without running it: `<buildDir>/<name>/manifest.json`, beside `bundle.mjs` and
 * `bundle.mjs.map`. The host's main thread works from manifests alone and never loads user code.
 */
export interface Manifest {
  /** Version of this format. */
  readonly format: 1;
  readonly name: string;
  /** SHA-256 of the bundle's bytes, hex, first 16 digits: the content's name. */
  readonly versionId: string;
  /** keyfold's version that built it. */
  readonly builtWith: string;
  readonly schemaVersion: number;
  readonly topology: TopologyManifest;
  /** The function's own settings from its file; the config's win over them. */
  readonly settings: FunctionSettings;
  /** Store and source topic that invoke uses; absent when the function's state is not one step from its source. */
  readonly invoke?: { readonly topic: string; readonly store: string };
  /** Store that `GET keys` reads; absent when the function keeps no state. */
  readonly queryStore?: string;
  readonly hasRoutes: boolean;
  readonly bytes: number;
}

/** A Topology without its code. Topic names are full (application id included) except for user topics. */
export interface TopologyManifest {
  readonly subtopologies: readonly {
    readonly id: number;
    readonly sources: readonly { readonly topic: string; readonly codec: string; readonly global: boolean }[];
    readonly stores: readonly StoreManifest[];
    readonly sinks: readonly { readonly topic: string; readonly codec: string }[];
    readonly repartitions: readonly { readonly topic: string; readonly partitions?: number; readonly config?: TopicConfig }[];
    /** For people: see `keyfold topology`. */
    readonly steps: readonly StepInfo[];
  }[];
}

export interface StoreManifest {
  readonly name: string;
  readonly engine: string;
  readonly logged: boolean;
  readonly windowed: boolean;
  readonly changelog: TopicConfig;
  readonly retentionMs?: number;
  /** Version of the shape of its values: with another one it is opened anew at a swap, so that states are migrated. */
  readonly schemaVersion: number;
  readonly cached: boolean;
  /** Of an lru store. */
  readonly maxEntries?: number;
  readonly layout?: StoreLayout;
}
