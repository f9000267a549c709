import { randomUUID } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { KeyfoldError } from "../errors.ts";
import type { BuildInputs } from "./inputs.ts";
import type { Manifest } from "./manifest.ts";

/** Directory in the build directory for bundles that are being read. */
const SCRATCH = ".inspect";
const LEFTOVER_MS = 3_600_000;

/** The parts of one function's build, by file name. */
export interface BuildFiles {
  readonly "bundle.mjs": Uint8Array;
  readonly "bundle.mjs.map": Uint8Array;
  readonly "manifest.json": string;
  readonly "inputs.json": string;
}

/** Writes a function's build: each file whole or not at all, the manifest after what it speaks of, and only what changed. */
export async function writeBuild(dir: string, files: BuildFiles): Promise<boolean> {
  await makeDirectory(dir);
  let changed = false;
  for (const name of ["bundle.mjs.map", "bundle.mjs", "manifest.json", "inputs.json"] as const) {
    const wrote = await writeIfChanged(join(dir, name), files[name]);
    changed ||= wrote && name !== "inputs.json";
  }
  return changed;
}

/** Puts a bundle where it can be imported from before it counts. Resolves to its path; whoever asked removes it. */
export async function writeScratch(buildDir: string, name: string, bundle: Uint8Array): Promise<string> {
  const path = join(buildDir, SCRATCH, `${name}.${randomUUID()}.mjs`);
  await makeDirectory(join(buildDir, SCRATCH));
  try {
    await writeFile(path, bundle);
  } catch (cause) {
    await rm(path, { force: true });
    throw cannotWrite(path, cause);
  }
  return path;
}

async function makeDirectory(dir: string): Promise<void> {
  try {
    await mkdir(dir, { recursive: true });
  } catch (cause) {
    throw cannotWrite(dir, cause);
  }
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
  return inputs?.format === 1 && typeof inputs.files === "object" ? inputs : undefined;
}

/** Functions that have a build, in order. */
export function builtNames(buildDir: string): string[] {
  if (!existsSync(buildDir)) return [];
  return readdirSync(buildDir, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(join(buildDir, entry.name, "manifest.json")))
    .map((entry) => entry.name)
    .sort();
}

/** Removes the builds of functions that are no more, and leftovers. Resolves to the names. */
export async function pruneBuilds(buildDir: string, keep: ReadonlySet<string>): Promise<string[]> {
  const gone = builtNames(buildDir).filter((name) => !keep.has(name));
  for (const name of gone) await rm(join(buildDir, name), { recursive: true, force: true });
  for (const dir of [SCRATCH, ...builtNames(buildDir)]) await sweep(join(buildDir, dir));
  return gone;
}

/** Removes what builds that were killed left behind; files of builds under way are younger. */
async function sweep(dir: string): Promise<void> {
  const names = existsSync(dir) ? readdirSync(dir).filter((name) => name.endsWith(".tmp") || basename(dir) === SCRATCH) : [];
  for (const name of names) {
    const path = join(dir, name);
    const { mtimeMs } = statSync(path, { throwIfNoEntry: false }) ?? { mtimeMs: Date.now() };
    if (Date.now() - mtimeMs > LEFTOVER_MS) await rm(path, { force: true });
  }
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
    throw cannotWrite(path, cause);
  }
  return true;
}

function cannotWrite(path: string, cause: unknown): KeyfoldError {
  const full = cause instanceof Error && "code" in cause && (cause.code === "ENOSPC" || cause.code === "EDQUOT");
  const message = cause instanceof Error ? cause.message : String(cause);
  return new KeyfoldError(full ? "disk-full" : "build-failed", `cannot write ${path}: ${message}`, {
    remedy: full ? "retry" : "user",
    cause,
  });
}

function readJson<T>(path: string): T | undefined {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as T;
  } catch {
    return undefined;
  }
}
