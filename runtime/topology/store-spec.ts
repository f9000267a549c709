import type { StoreOptions } from "../define/stores.ts";
import type { EngineSpec, StoreSpec } from "../state/store.ts";

/** What a step asks of its store, as the stores' part understands it. */
export function storeSpec(
  name: string,
  options: StoreOptions,
  extra: Partial<Pick<StoreSpec, "schemaVersion" | "migrate" | "retentionMs">> = {},
): StoreSpec {
  const engine = engineSpec(options.engine);
  return {
    name,
    engine,
    logged: options.logged ?? true,
    cached: engine.kind === "lru" ? false : (options.cached ?? true),
    changelog: options.changelog ?? {},
    schemaVersion: extra.schemaVersion ?? 1,
    ...(extra.migrate === undefined ? {} : { migrate: extra.migrate }),
    ...(extra.retentionMs === undefined ? {} : { retentionMs: extra.retentionMs }),
  };
}

function engineSpec(engine: StoreOptions["engine"]): EngineSpec {
  if (engine === undefined) return { kind: "rocksdb" };
  return typeof engine === "function" ? { kind: "custom", create: engine } : engine;
}
