import { readdirSync } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import type { ResolvedConfig } from "../config/resolved.ts";
import { KeyfoldError } from "../errors.ts";
import { attempt, type BuildFailure, type BuildResult, type BuiltFunction } from "./build.ts";
import { pruneBuilds } from "./build-dir.ts";
import { Bundler } from "./bundler.ts";
import { ChangeSource } from "./change-source.ts";
import { type FunctionFile, type FunctionFiles, functionFiles } from "./function-files.ts";
import { Stamps } from "./stamps.ts";

/** Builds of a function that is written while it is built, before one is told as it is. */
const TRIES = 5;

export type WatchEvent =
  /** A function was built again; `changed` of it says whether anything is different. `ms`: from the change's notice to the build on disk. */
  | { readonly kind: "built"; readonly fn: BuiltFunction; readonly ms: number }
  /** A function does not build; its last good build stays. */
  | { readonly kind: "failed"; readonly failure: BuildFailure }
  /** A function's file is gone, and its build with it. */
  | { readonly kind: "removed"; readonly name: string }
  /** The functions cannot be listed: the directory is missing, or the config has settings for a function that is not there. */
  | { readonly kind: "problem"; readonly error: KeyfoldError }
  /** The config file is another one than was loaded. Functions go on being built by the one that was. */
  | { readonly kind: "config-changed" };

export interface Watcher {
  /** What the first build, of everything, gave. */
  readonly initial: BuildResult;
  close(): Promise<void>;
}

export interface WatchOptions {
  /** A file that has become empty is about to be written, and is let be for so long, ms. Default 500. */
  readonly emptyMs?: number;
}

interface Watched {
  readonly file: FunctionFile;
  /** Files to look at; those of the last good build when this one failed. */
  stamps: Stamps;
  failed: boolean;
}

/**
 * Builds all functions, then again each one whose files change, and new ones; forgets deleted ones. One round at a time: changes during
 * one start the next.
 * @throws KeyfoldError `config-invalid` when there is no functions directory to begin with.
 */
export async function watch(
  config: ResolvedConfig,
  onEvent: (event: WatchEvent) => void,
  { emptyMs = 500 }: WatchOptions = {},
): Promise<Watcher> {
  const bundler = new Bundler(config);
  const watched = new Map<string, Watched>();
  /** Refusals already told, so that each is told once. */
  let told = new Set<string>();
  /** Since when files are seen to be empty, performance.now() ms. */
  const empty = new Map<string, number>();
  /** Functions of which a build is on disk that nobody was told of. */
  const untold = new Set<string>();
  let closed = false;
  let source: ChangeSource | undefined;

  /** `written`: whether some file changed while it was built, which may then be of half a file. */
  async function buildOne(file: FunctionFile): Promise<{ outcome: BuiltFunction | BuildFailure; written: boolean }> {
    // Stamped before the build reads: a change in between is then seen as one.
    const before = watched.get(file.name);
    const early = new Stamps([file.file, ...(before?.stamps.files ?? [])]);
    await early.take();
    const outcome = await attempt(bundler, file);
    const stamps = "manifest" in outcome ? await early.extend(outcome.inputs) : early;
    watched.set(file.name, { file, stamps, failed: "error" in outcome });
    return { outcome, written: await early.changed() };
  }

  /** Builds until nothing was written meanwhile. Undefined: it is being written, and will be noticed again. */
  async function buildWhole(file: FunctionFile): Promise<BuiltFunction | BuildFailure | undefined> {
    for (let left = TRIES; ; left--) {
      if (await isAboutToBeWritten(file.file)) return undefined;
      const { outcome, written } = await buildOne(file);
      const isChanged = "manifest" in outcome && (outcome.changed || untold.has(file.name));
      if (isChanged) untold.add(file.name);
      if (written && left > 1) continue;
      if (!isChanged) return outcome;
      untold.delete(file.name);
      return { ...outcome, changed: true };
    }
  }

  /** Programs that save a file empty it first. */
  async function isAboutToBeWritten(file: string): Promise<boolean> {
    const size = await stat(file).then(
      (found) => found.size,
      () => -1,
    );
    if (size !== 0) {
      empty.delete(file);
      return false;
    }
    const now = performance.now();
    const since = empty.get(file) ?? now;
    empty.set(file, since);
    if (now - since >= emptyMs) return false;
    source?.lookAfter(emptyMs);
    return true;
  }

  const configStamps = new Stamps(config.configFile === undefined ? [] : [config.configFile]);
  await configStamps.take();

  async function round(): Promise<void> {
    const noticed = performance.now();
    if (await configStamps.changed()) {
      await configStamps.take();
      onEvent({ kind: "config-changed" });
    }
    let files: FunctionFiles;
    try {
      files = functionFiles(config);
    } catch (thrown) {
      const error = KeyfoldError.from(thrown);
      if (!told.has(error.message)) onEvent({ kind: "problem", error });
      told = new Set([error.message]);
      return;
    }
    const gone = [...watched.values()].filter(({ file }) => !files.functions.some((fn) => fn.file === file.file));
    for (const { file } of gone) {
      watched.delete(file.name);
      await bundler.forget(file.name);
      if (files.functions.some((fn) => fn.name === file.name)) continue;
      await pruneBuilds(config.buildDir, new Set([...files.functions, ...files.refused].map(({ name }) => name)));
      onEvent({ kind: "removed", name: file.name });
    }
    for (const refusal of files.refused) if (!told.has(refusal.error.message)) onEvent({ kind: "failed", failure: refusal });
    told = new Set(files.refused.map(({ error }) => error.message));
    const due: FunctionFile[] = [];
    for (const fn of files.functions) {
      const known = watched.get(fn.name);
      if (known === undefined || known.failed || (await known.stamps.changed())) due.push(fn);
    }
    await Promise.all(
      due.map(async (fn) => {
        const failedBefore = watched.get(fn.name)?.failed === true && !(await watched.get(fn.name)?.stamps.changed());
        const outcome = await buildWhole(fn);
        if (closed || outcome === undefined) return;
        if ("manifest" in outcome) onEvent({ kind: "built", fn: outcome, ms: performance.now() - noticed });
        // Tried again because of some other file, and still broken: nothing new to say.
        else if (!failedBefore) onEvent({ kind: "failed", failure: outcome });
      }),
    );
  }

  let files: FunctionFiles;
  try {
    files = functionFiles(config);
  } catch (thrown) {
    await bundler.close();
    throw thrown;
  }
  const builds = await Promise.all(files.functions.map(buildOne));
  const outcomes = builds.map(({ outcome }) => outcome);
  told = new Set(files.refused.map(({ error }) => error.message));
  const removed = await pruneBuilds(config.buildDir, new Set([...files.functions, ...files.refused].map(({ name }) => name)));
  source = await ChangeSource.open({
    dirs: () => functionDirectories(config.functionsDir),
    files: () => [...configStamps.files, ...[...watched.values()].flatMap(({ stamps }) => stamps.files)],
    changed: round,
    failed: (thrown) => onEvent({ kind: "problem", error: KeyfoldError.from(thrown) }),
  });
  // Nobody watched yet.
  if (builds.some(({ written }) => written)) source.lookAfter(0);
  return {
    initial: {
      functions: outcomes.flatMap((outcome) => ("manifest" in outcome ? [outcome] : [])),
      failures: [...files.refused, ...outcomes.flatMap((outcome) => ("error" in outcome ? [outcome] : []))],
      removed,
    },
    async close() {
      closed = true;
      await source?.close();
      await bundler.close();
    },
  };
}

/** The functions directory and those in it, where an index file may appear. */
function functionDirectories(dir: string): string[] {
  try {
    const inner = readdirSync(dir, { withFileTypes: true }).filter((entry) => entry.isDirectory() && !/^[_.]/.test(entry.name));
    return [dir, ...inner.map((entry) => join(dir, entry.name))];
  } catch {
    return [dir];
  }
}
