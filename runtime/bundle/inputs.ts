import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { relative, resolve } from "node:path";
import type { FunctionSettings, ResolvedConfig } from "../config/resolved.ts";

/** What a build was made from: `<buildDir>/<name>/inputs.json`. Tells whether it is stale without building again. */
export interface BuildInputs {
  readonly format: 1;
  readonly keyfold: string;
  /** Application name and the config's settings of the function. */
  readonly config: string;
  /** Path relative to the project: time of change (ms), size, SHA-256. */
  readonly files: Readonly<Record<string, readonly [mtimeMs: number, size: number, hash: string]>>;
}

export function configFingerprint(config: ResolvedConfig, settings: FunctionSettings): string {
  return sha256(JSON.stringify([config.name, settings, relative(config.root, config.functionsDir)]));
}

/** Reads and hashes the files a build was made from; those that are not files (virtual ones) are left out. */
export async function recordInputs(
  config: ResolvedConfig,
  keyfold: string,
  settings: FunctionSettings,
  files: readonly string[],
): Promise<BuildInputs> {
  const entries = await Promise.all(
    [...new Set(files)].sort().map(async (file) => {
      try {
        const path = resolve(config.root, file);
        const [{ mtimeMs, size }, content] = await Promise.all([stat(path), readFile(path)]);
        return [[relative(config.root, path), [mtimeMs, size, sha256(content)] as const] as const];
      } catch {
        return [];
      }
    }),
  );
  return { format: 1, keyfold, config: configFingerprint(config, settings), files: Object.fromEntries(entries.flat()) };
}

/** Whether any of the files differs from what the build was made from. A file only touched does not count. */
export async function inputsChanged(config: ResolvedConfig, inputs: BuildInputs): Promise<boolean> {
  const changed = await Promise.all(
    Object.entries(inputs.files).map(async ([file, [mtimeMs, size, hash]]) => {
      try {
        const path = resolve(config.root, file);
        const now = await stat(path);
        if (now.size !== size) return true;
        return now.mtimeMs !== mtimeMs && sha256(await readFile(path)) !== hash;
      } catch {
        return true;
      }
    }),
  );
  return changed.includes(true);
}

function sha256(content: string | Uint8Array): string {
  return createHash("sha256").update(content).digest("hex").slice(0, 32);
}
