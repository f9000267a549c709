import { createHash } from "node:crypto";
import type { FunctionSettings } from "../config/resolved.ts";
import { compile } from "../topology/compile.ts";
import type { Topology } from "../topology/topology.ts";
import type { Manifest, TopologyManifest } from "./manifest.ts";

export interface DescribeOptions {
  readonly name: string;
  /** `<config name>-<function>` */
  readonly application: string;
  /** The config's settings of this function. */
  readonly settings: FunctionSettings;
}

/** The part of a manifest that takes the function's code to know. */
export type Description = Pick<Manifest, "schemaVersion" | "topology" | "settings" | "invoke" | "queryStore" | "hasRoutes">;

/** What a bundle's exports say of the function. Runs where the bundle was imported: never in the host's main thread. */
export function describe(exports: { readonly default?: unknown; readonly routes?: unknown }, options: DescribeOptions): Description {
  const { topology, invoke, queryStore, schemaVersion, settings } = compile(exports.default, options);
  const { routes } = exports;
  return {
    schemaVersion,
    topology: withoutCode(topology),
    settings,
    ...(invoke === undefined ? {} : { invoke }),
    ...(queryStore === undefined ? {} : { queryStore }),
    hasRoutes: typeof routes === "object" && routes !== null && "fetch" in routes && typeof routes.fetch === "function",
  };
}

/** SHA-256 of a bundle, hex, first 16 digits. */
export function versionOf(bundle: Uint8Array): string {
  return createHash("sha256").update(bundle).digest("hex").slice(0, 16);
}

function withoutCode({ subtopologies }: Topology): TopologyManifest {
  return {
    subtopologies: subtopologies.map(({ id, sources, stores, sinks, repartitions, steps }) => ({
      id,
      sources: sources.map(({ topic, codec, global }) => ({ topic, codec: codec.name, global: global ?? false })),
      stores: stores.map(({ name, engine, logged, cached, changelog, retentionMs, schemaVersion, layout }) => ({
        name,
        engine: engine.kind,
        logged,
        windowed: retentionMs !== undefined,
        changelog,
        schemaVersion,
        cached,
        ...(engine.kind === "lru" ? { maxEntries: engine.maxEntries } : {}),
        ...(layout === undefined ? {} : { layout }),
        ...(retentionMs === undefined ? {} : { retentionMs }),
      })),
      sinks: sinks.map(({ topic, codec }) => ({ topic, codec: codec.name })),
      steps,
      repartitions: repartitions.map(({ topic, partitions, config }) => ({
        topic,
        ...(partitions === undefined ? {} : { partitions }),
        ...(config === undefined ? {} : { config }),
      })),
    })),
  };
}
