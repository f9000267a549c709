import { relative } from "node:path";
import type { BuildFailure, BuildResult, BuiltFunction } from "../bundle/build.ts";
import type { ResolvedConfig } from "../config/resolved.ts";
import { count, milliseconds, size } from "./format.ts";
import type { Output } from "./output.ts";

/** A build for people: a line for each function, then the errors in full. */
export function reportBuild(output: Output, config: ResolvedConfig, result: BuildResult, ms: number): void {
  const width = Math.max(0, ...result.functions.map(({ name }) => name.length));
  for (const { name, manifest, changed } of result.functions) {
    output.success(
      `${name.padEnd(width)}  ${manifest.versionId}  ${size(manifest.bytes).padStart(9)}${changed ? "" : output.style("  unchanged", "dim")}`,
    );
  }
  for (const name of result.removed) output.note(output.style(`- ${name} is gone; its build was removed`, "dim"));
  for (const { error } of result.failures) output.error(error);
  const to = relative(config.root, config.buildDir) || config.buildDir;
  if (result.functions.length > 0) output.note(`${count(result.functions.length, "function")} built into ${to} in ${milliseconds(ms)}`);
  if (result.failures.length > 0) output.note(`${count(result.failures.length, "function")} failed`);
  if (result.functions.length === 0 && result.failures.length === 0)
    output.warn(`no functions in ${relative(config.root, config.functionsDir)}: a function is a .ts or .js file there`);
}

/** A build as data. */
export function buildDocument(config: ResolvedConfig, result: BuildResult, ms: number) {
  return {
    functions: result.functions.map((fn) => builtDocument(config, fn)),
    failures: result.failures.map((failure) => failureDocument(config, failure)),
    removed: result.removed,
    buildDir: config.buildDir,
    ms: Math.round(ms),
  };
}

export function builtDocument(config: ResolvedConfig, { name, file, manifest, changed }: BuiltFunction) {
  return { name, file: relative(config.root, file), version: manifest.versionId, bytes: manifest.bytes, changed };
}

export function failureDocument(config: ResolvedConfig, { name, file, error }: BuildFailure) {
  return { name, file: relative(config.root, file), error: { code: error.code, message: error.message, details: error.details } };
}
