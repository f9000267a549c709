import { existsSync } from "node:fs";
import { nearest } from "../config/check.ts";
import type { ResolvedConfig } from "../config/resolved.ts";
import { KeyfoldError } from "../errors.ts";
import { builtNames, pruneBuilds, readInputs, readManifest, readManifests } from "./build-dir.ts";
import { type BuiltFunction, Bundler } from "./bundler.ts";
import { type FunctionFile, functionFiles } from "./function-files.ts";
import { configFingerprint, inputsChanged } from "./inputs.ts";
import { packageVersion } from "./version.ts";

export type { BuiltFunction } from "./bundler.ts";

export interface BuildFailure {
  readonly name: string;
  /** Absolute. */
  readonly file: string;
  readonly error: KeyfoldError;
}

export interface BuildResult {
  /** Those that built, by name. */
  readonly functions: readonly BuiltFunction[];
  readonly failures: readonly BuildFailure[];
  /** Functions whose file is gone, and now their build. */
  readonly removed: readonly string[];
}

export interface BuildOptions {
  /** Names of the functions to build. Default: all. */
  readonly only?: readonly string[];
}

/**
 * Bundles the project's functions into `<buildDir>/<name>/`. One that fails does not keep the others from being built; its
 * last good build stays.
 * @throws KeyfoldError `config-invalid` for a missing functions directory, `function-unknown` for a name in `only`.
 */
export async function build(config: ResolvedConfig, { only }: BuildOptions = {}): Promise<BuildResult> {
  const { functions, refused } = functionFiles(config);
  const wanted = only === undefined ? functions : only.map((name) => chosen(name, functions));
  const bundler = new Bundler(config);
  try {
    const outcomes = await Promise.all(wanted.map((fn) => attempt(bundler, fn)));
    const removed =
      only === undefined ? await pruneBuilds(config.buildDir, new Set([...functions, ...refused].map(({ name }) => name))) : [];
    return {
      functions: outcomes.flatMap((outcome) => ("manifest" in outcome ? [outcome] : [])),
      failures: [...(only === undefined ? refused : []), ...outcomes.flatMap((outcome) => ("error" in outcome ? [outcome] : []))],
      removed,
    };
  } finally {
    await bundler.close();
  }
}

/** Builds one function; a failure is a value, so that the others go on. */
export async function attempt(bundler: Bundler, fn: FunctionFile): Promise<BuiltFunction | BuildFailure> {
  try {
    return await bundler.build(fn);
  } catch (thrown) {
    return { name: fn.name, file: fn.file, error: KeyfoldError.from(thrown) };
  }
}

/** Whether the builds on disk are not what a build now would make. Looks at times and sizes, and at content where these differ. */
export async function isStale(config: ResolvedConfig): Promise<boolean> {
  // A host may be given what was built, and no sources.
  if (!existsSync(config.functionsDir) && builtNames(config.buildDir).length > 0) return false;
  const { functions, refused } = functionFiles(config);
  if (functions.length === 0 || refused.length > 0 || readManifests(config.buildDir).length !== functions.length) return true;
  const version = packageVersion();
  const stale = await Promise.all(
    functions.map(async ({ name }) => {
      const inputs = readInputs(config.buildDir, name);
      if (inputs === undefined || readManifest(config.buildDir, name) === undefined) return true;
      return (
        inputs.keyfold !== version ||
        inputs.config !== configFingerprint(config, config.functions[name] ?? {}) ||
        (await inputsChanged(config, inputs))
      );
    }),
  );
  return stale.includes(true);
}

function chosen(name: string, functions: readonly FunctionFile[]): FunctionFile {
  const found = functions.find((fn) => fn.name === name);
  if (found !== undefined) return found;
  const names = functions.map((fn) => fn.name);
  const near = nearest(name, names);
  const hint = near === undefined ? `the functions are ${names.join(", ") || "none yet"}` : `did you mean ${JSON.stringify(near)}?`;
  throw new KeyfoldError("function-unknown", `there is no function ${JSON.stringify(name)}; ${hint}`, {
    details: { function: name, functions: names },
  });
}
