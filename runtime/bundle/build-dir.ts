import { randomUUID } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { KeyfoldError } from "../errors.ts";
import type { BuildInputs } from "./inputs.ts";
import type { Manifest } from "./manifest.ts";

/** The parts of one function's build, by file name. */
export interface BuildFiles {
  readonly "bundle.mjs": Uint8Array;
  readonly "bundle.mjs.map": Uint8Array;
  readonly "manifest.json": string;
  readonly "inputs.json": string;
}

/** Writes a function's build: each file whole or not at all, the manifest after what it speaks of, and only what changed. */
export async function writeBuild(dir: string, files: BuildFiles): Promise<boolean> {
  await mkdir(dir, { recursive: true });
  let changed = false;
  for (const name of ["bundle.mjs.map", "bundle.mjs", "manifest.json", "inputs.json"] as const) {
    const wrote = await writeIfChanged(join(dir, name), files[name]);
    changed ||= wrote && name !== "inputs.json";
  }
  return changed;
}

/** The manifests of all built functions, by name. What is half there, or of another format, is not built. */
export function readManifests(buildDir: string): Manifest[] {
  return builtNames(buildDir).flatMap((name) => {
    const manifest = readManifest(buildDir, name);
    return manifest === undefined ? [] : [manifest];
  });
}

export function readManifest(buildDir: string, name: string): Manifest | undefined {
  const manifest = readJson<Manifest>(join(buildDir, name, "manifest.json"));
  return manifest?.format === 1 && manifest.name === name && existsSync(join(buildDir, name, "bundle.mjs")) ? manifest : undefined;
}

export function readInputs(buildDir: string, name: string): BuildInputs | undefined {
  const inputs = readJson<BuildInputs>(join(buildDir, name, "inputs.json"));
  return inputs?.format === 1 ? inputs : undefined;
}

/** Functions that have a build, in order. */
export function builtNames(buildDir: string): string[] {
  if (!existsSync(buildDir)) return [];
  return readdirSync(buildDir, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(join(buildDir, entry.name, "manifest.json")))
    .map((entry) => entry.name)
    .sort();
}

/** Removes the builds of functions that are no more. */
export async function pruneBuilds(buildDir: string, keep: ReadonlySet<string>): Promise<string[]> {
  const gone = builtNames(buildDir).filter((name) => !keep.has(name));
  for (const name of gone) await rm(join(buildDir, name), { recursive: true, force: true });
  return gone;
}

async function writeIfChanged(path: string, content: string | Uint8Array): Promise<boolean> {
  const bytes = Buffer.from(content as Uint8Array);
  try {
    if (bytes.equals(await readFile(path))) return false;
  } catch {
    // Not there yet.
  }
  const temporary = `${path}.${randomUUID()}.tmp`;
  try {
    await writeFile(temporary, bytes);
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true });
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new KeyfoldError("build-failed", `cannot write ${path}: ${message}`, { remedy: "fatal", cause });
  }
  return true;
}

function readJson<T>(path: string): T | undefined {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as T;
  } catch {
    return undefined;
  }
}
