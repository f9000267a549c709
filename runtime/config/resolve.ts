import { resolve } from "node:path";
import type { TopicConfig } from "../log/log.ts";
import type { ConfigProblem } from "./check.ts";
import { withDefaults } from "./defaults.ts";
import type { EngineSettings, FunctionSettings, ResolvedConfig } from "./resolved.ts";
import { engineKeys, functionDefaultsSchema, httpSchema, type Layer, layerSchema, limitsSchema, sharedKeys } from "./schema.ts";

export interface ResolveOptions {
  /** Directory of the config file, or of the project without one. */
  readonly root: string;
  readonly file: string | undefined;
  /** Used where the config has no name. */
  readonly fallbackName: string;
  readonly dev: boolean;
}

/** Fills in what the merged layers leave open, and checks what only the whole can show. */
export function resolveConfig(
  layer: Layer,
  { root, file, fallbackName, dev }: ResolveOptions,
): { config: ResolvedConfig; problems: ConfigProblem[] } {
  const all = withDefaults(layerSchema, layer);
  const engine = pick(all, engineKeys) as unknown as EngineSettings;
  const exactlyOnce = engine["processing.guarantee"] === "exactly_once_v2";
  const { log, problems } = resolveLog(layer);
  const config: ResolvedConfig = {
    name: layer.name ?? fallbackName,
    root,
    ...(file === undefined ? {} : { configFile: file }),
    functionsDir: resolve(root, all.functionsDir),
    buildDir: resolve(root, all.buildDir),
    dev,
    log,
    topics: Object.fromEntries(
      Object.entries(layer.topics ?? {}).map(([topic, settings]) => [topic, resolveTopic(settings, all.defaultPartitions)]),
    ),
    defaultPartitions: all.defaultPartitions,
    engine: {
      ...engine,
      "commit.interval.ms": layer["commit.interval.ms"] ?? (exactlyOnce ? 100 : engine["commit.interval.ms"]),
      "state.dir": resolve(root, engine["state.dir"]),
    },
    functions: (layer.functions ?? {}) as Readonly<Record<string, FunctionSettings>>,
    functionDefaults: withDefaults(functionDefaultsSchema, { ...pick(all, sharedKeys), ...layer.functionDefaults }) as FunctionSettings,
    limits: withDefaults(limitsSchema, layer.limits),
    http: withDefaults(httpSchema, layer.http),
    logLevel: all.logLevel,
  };
  return { config, problems };
}

type LogLayer = NonNullable<Layer["log"]>;
const KAFKA_ONLY = ["brokers", "ssl", "sasl", "compression", "replicationFactor"] as const satisfies readonly (keyof LogLayer)[];

function resolveLog(layer: Layer): { log: ResolvedConfig["log"]; problems: ConfigProblem[] } {
  const { kind = "embedded", flush, brokers, sasl, ...kafka } = layer.log ?? {};
  if (kind === "embedded") {
    const stray = KAFKA_ONLY.filter((key) => layer.log?.[key] !== undefined);
    const problems = stray.map((key) => ({
      key: `log.${key}`,
      value: layer.log?.[key],
      message: 'only a log of kind "kafka" has this; set log.kind to "kafka"',
    }));
    return { log: { kind, flush: flush ?? "os" }, problems };
  }
  const problems: ConfigProblem[] = [];
  if (brokers === undefined)
    problems.push({ key: "log.brokers", message: 'is missing; a log of kind "kafka" needs a list such as ["localhost:9092"]' });
  if (flush !== undefined) problems.push({ key: "log.flush", value: flush, message: 'only a log of kind "embedded" has this' });
  for (const key of ["mechanism", "username", "password"] as const) {
    if (sasl !== undefined && sasl[key] === undefined)
      problems.push({ key: `log.sasl.${key}`, message: "is missing; to log in takes mechanism, username and password" });
  }
  const { mechanism, username, password } = sasl ?? {};
  return {
    log: {
      kind,
      brokers: brokers ?? [],
      ...pick(kafka, ["ssl", "compression", "replicationFactor"]),
      ...(mechanism === undefined || username === undefined || password === undefined ? {} : { sasl: { mechanism, username, password } }),
    } as ResolvedConfig["log"],
    problems,
  };
}

function resolveTopic(
  { partitions, ...rest }: NonNullable<Layer["topics"]>[string],
  defaultPartitions: number,
): { partitions: number; config: TopicConfig } {
  const config = Object.fromEntries(Object.entries(rest).flatMap(([key, value]) => (value === undefined ? [] : [[key, String(value)]])));
  return { partitions: partitions ?? defaultPartitions, config };
}

/** The keys that are set. */
function pick<T extends object, K extends keyof T>(from: T, keys: readonly K[]): Partial<Pick<T, K>> {
  const picked: Partial<Pick<T, K>> = {};
  for (const key of keys) if (from[key] !== undefined) picked[key] = from[key];
  return picked;
}
