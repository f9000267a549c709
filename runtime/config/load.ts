import { type ConfigProblem, checkLayer, configInvalid, dotted, flagsInvalid, nearest } from "./check.ts";
import { environmentLayer } from "./environment.ts";
import { importConfigFile } from "./import-file.ts";
import { locateProject, projectName } from "./locate.ts";
import { overlay } from "./merge.ts";
import { resolveConfig } from "./resolve.ts";
import type { ResolvedConfig } from "./resolved.ts";
import { configSchema, type Layer, layerSchema } from "./schema.ts";
import type { ConfigLayer } from "./types.ts";

export interface LoadOptions {
  /** Where to look for the project; upwards from here. Default: the working directory. */
  readonly cwd?: string;
  /** Path of a config file (`--config`). Default: the project's, if it has one. */
  readonly file?: string;
  /** Overlay to apply (`--env`). Default: `KEYFOLD_ENV`, else none. */
  readonly env?: string;
  /** What flags say; wins over everything. Relative paths are taken from the config file's directory: resolve them first. */
  readonly flags?: ConfigLayer;
  /** How a key was written as a flag, for errors: `{ "http.port": "--port" }`. */
  readonly flagNames?: Readonly<Record<string, string>>;
  /** Default: the process's. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Development mode: states are deep-frozen. Default false. */
  readonly dev?: boolean;
}

/**
 * The project's config: flags over environment variables over the `env` overlay over the config over defaults.
 * A project without a config file is fine.
 * @throws KeyfoldError `config-invalid`, listing every problem there is; `bad-request` where only flags are wrong.
 */
export async function loadConfig(options: LoadOptions = {}): Promise<ResolvedConfig> {
  const { cwd = process.cwd(), environment = process.env, flags = {}, flagNames = {}, dev = false } = options;
  const { root, file } = locateProject(cwd, options.file ?? environment["KEYFOLD_CONFIG"]);
  const problems: ConfigProblem[] = [];
  const take = (checked: { layer: Layer; problems: readonly ConfigProblem[] }): Layer => {
    problems.push(...checked.problems);
    return checked.layer;
  };

  const fromFile = take(checkLayer(configSchema, file === undefined ? {} : await importConfigFile(file)));
  const { env: overlays = {}, ...base } = fromFile as Layer & { env?: Record<string, Layer> };
  const env = options.env ?? (environment["KEYFOLD_ENV"] || undefined);
  if (env !== undefined && overlays[env] === undefined && problems.length === 0) problems.push(unknownOverlay(env, Object.keys(overlays)));

  const ofFile = problems.length;
  const given = checkLayer(layerSchema, flags, (path) => flagNames[dotted(path)] ?? dotted(path));
  const layers = [base, (env === undefined ? undefined : overlays[env]) ?? {}, take(environmentLayer(environment)), take(given)];
  if (given.problems.length > 0 && given.problems.length === problems.length) throw flagsInvalid(problems);
  // An environment variable that is wrong is no fault of the file.
  if (problems.length > 0) throw configInvalid(problems, ofFile === 0 ? undefined : file);
  const resolved = resolveConfig(layers.reduce(overlay), { root, file, fallbackName: projectName(root), dev });
  if (resolved.problems.length > 0) throw configInvalid(resolved.problems, file);
  return resolved.config;
}

function unknownOverlay(env: string, names: readonly string[]): ConfigProblem {
  const near = nearest(env, names);
  const hint =
    near === undefined
      ? names.length === 0
        ? "the config has no overlays under env"
        : `the overlays are ${names.join(", ")}`
      : `did you mean ${JSON.stringify(near)}?`;
  return { key: `env.${env}`, value: env, message: `there is no such overlay; ${hint}`, ...(near === undefined ? {} : { nearest: near }) };
}
