import type { Option } from "./command.ts";

/** Options of every command that reads the project. */
export const PROJECT_OPTIONS: readonly Option[] = [
  { flags: "--config <file>", summary: "config file", default: "wrangler-like.config.ts of the project" },
  { flags: "--env <name>", summary: "overlay of the config to apply" },
];

/** Options of the commands that run a host. */
export const HOST_OPTIONS: readonly Option[] = [
  { flags: "-p, --port <port>", summary: "public port; 0 picks a free one", default: "8787" },
  { flags: "--internal-port <port>", summary: "internal port; 0 picks a free one", default: "8788" },
  { flags: "--state-dir <dir>", summary: "where stores and the embedded log live", default: ".keyfold/state" },
  ...PROJECT_OPTIONS,
];
