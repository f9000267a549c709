/** What `wrangler-like.config.ts` imports. */
import type { KeyfoldConfig } from "./types.ts";

export type {
  ConfigLayer,
  EmbeddedLogConfig,
  EngineConfig,
  FunctionConfig,
  FunctionDefaultsConfig,
  KafkaLogConfig,
  KeyfoldConfig,
  LimitsConfig,
  Size,
  TopicSettings,
} from "./types.ts";

/**
 * The project's config, checked by the editor as it is written and again when it is loaded.
 *
 * @example
 * export default defineConfig({
 *   name: "shop",
 *   topics: { orders: { partitions: 8, "retention.ms": "7 days" } },
 *   env: { production: { log: { kind: "kafka", brokers: ["kafka:9092"] } } },
 * });
 */
export function defineConfig(config: KeyfoldConfig): KeyfoldConfig {
  return config;
}
