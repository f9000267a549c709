import { resolve } from "node:path";
import { fromText } from "../config/environment.ts";
import { leafMeta } from "../config/leaf.ts";
import { loadConfig } from "../config/load.ts";
import type { ResolvedConfig } from "../config/resolved.ts";
import { httpSchema } from "../config/schema.ts";
import type { ConfigLayer } from "../config/types.ts";
import { type CommandContext, textOption } from "./command.ts";

/** The project's config with the command's flags over it. */
export function projectConfig({ options, cwd, environment }: CommandContext, dev = false): Promise<ResolvedConfig> {
  const file = textOption(options, "config");
  const env = textOption(options, "env");
  const stateDir = textOption(options, "stateDir");
  const http = { ...port(options, "port"), ...port(options, "internalPort") };
  const flags: ConfigLayer = {
    ...(Object.keys(http).length === 0 ? {} : { http }),
    // Whoever types a path means it from where they are.
    ...(stateDir === undefined ? {} : { "state.dir": resolve(cwd, stateDir) }),
  };
  return loadConfig({
    cwd,
    environment,
    dev,
    flags,
    flagNames: { "http.port": "--port", "http.internalPort": "--internal-port", "state.dir": "--state-dir" },
    ...(file === undefined ? {} : { file }),
    ...(env === undefined ? {} : { env }),
  });
}

function port(options: CommandContext["options"], name: "port" | "internalPort"): Record<string, number> {
  const text = textOption(options, name);
  const meta = leafMeta(httpSchema.shape[name]);
  // What is no number stays text, and is refused with the other problems of the config.
  return text === undefined || meta === undefined ? {} : { [name]: fromText(text, meta) as number };
}
