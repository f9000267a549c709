import { once } from "node:events";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "../bundle/build.ts";
import type { ConfigLayer } from "../config/index.ts";
import { loadConfig } from "../config/load.ts";
import type { ResolvedConfig } from "../config/resolved.ts";
import { KeyfoldError } from "../errors.ts";
import { startHost } from "../host/host.ts";
import { createLogger } from "../observe/logger.ts";
import { hints } from "./hints.ts";
import type { DemoOptions } from "./options.ts";
import { forPeople, forPrograms, type Output } from "./output.ts";
import { freeOr0 } from "./ports.ts";
import { run } from "./run.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** Builds, starts, feeds, reports; then, without `exit`, stays until `stop` is aborted. Resolves when the host has stopped cleanly. */
export async function demo(options: DemoOptions, stop: AbortSignal): Promise<void> {
  const output = options.json ? forPrograms() : forPeople();
  const config = await demoConfig(options);
  await buildFunctions(config, output);
  const host = await startHost(config, { logger: createLogger({ level: "warn" }) });
  try {
    output.tell("listening", { public: host.publicUrl, internal: host.internalUrl });
    output.say(`host: ${host.publicUrl}, state in ${config.engine["state.dir"]}`);
    await Promise.race([host.running, aborted(stop)]);
    if (stop.aborted) return;
    output.tell("running");
    const finished = await run(host, { rate: options.rate, stop, output });
    if (finished && !options.exit) {
      output.say(`\n${hints(host)}`);
      await aborted(stop);
    }
  } finally {
    output.say("\nstopping ...");
    await host.stop();
    output.tell("stopped");
    output.say("stopped; everything is committed");
  }
}

/** The project's config with the command line's wishes. A port nobody asked for gives way when it is taken. */
async function demoConfig({ port, internalPort, stateDir }: DemoOptions): Promise<ResolvedConfig> {
  const flags: ConfigLayer = {
    http: { ...(port === undefined ? {} : { port }), ...(internalPort === undefined ? {} : { internalPort }) },
    ...(stateDir === undefined ? {} : { "state.dir": resolve(stateDir) }),
  };
  const config = await loadConfig({
    cwd: ROOT,
    flags,
    flagNames: { "http.port": "--port", "http.internalPort": "--internal-port", "state.dir": "--state-dir" },
  });
  const { http } = config;
  return {
    ...config,
    http: {
      ...http,
      port: port ?? (await freeOr0(http.port, http.host)),
      internalPort: internalPort ?? (await freeOr0(http.internalPort, http.internalHost)),
    },
  };
}

async function buildFunctions(config: ResolvedConfig, output: Output): Promise<void> {
  const { functions, failures } = await build(config);
  if (failures.length > 0) throw new KeyfoldError("build-failed", failures.map(({ error }) => error.message).join("\n\n"));
  output.say(`built ${functions.map(({ name, ms }) => `${name} (${ms.toFixed(0)} ms)`).join(", ")}`);
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, "abort");
}
