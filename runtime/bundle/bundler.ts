import { rm } from "node:fs/promises";
import { join, relative } from "node:path";
import { pathToFileURL } from "node:url";
import { type BuildContext, type BuildFailure, context, type BuildResult as EsbuildResult } from "esbuild";
import type { FunctionSettings, ResolvedConfig } from "../config/resolved.ts";
import { KeyfoldError } from "../errors.ts";
import { writeBuild, writeScratch } from "./build-dir.ts";
import { checkedDescription } from "./check-description.ts";
import { type Description, versionOf } from "./describe.ts";
import { type FunctionOptions, functionOptions } from "./esbuild-options.ts";
import { bundleError } from "./failures.ts";
import type { FunctionFile } from "./function-files.ts";
import { recordInputs } from "./inputs.ts";
import { Inspector } from "./inspector.ts";
import { type KeyfoldModule, keyfoldModule } from "./keyfold-module.ts";
import type { Manifest } from "./manifest.ts";
import { sourceFrame } from "./source-position.ts";
import { packageVersion } from "./version.ts";

/** Reading a function's module may take so long. */
const INSPECT_TIMEOUT_MS = 10_000;

/** One function, built. */
export interface BuiltFunction {
  readonly name: string;
  /** Absolute. */
  readonly file: string;
  /** Directory of bundle, map and manifest. */
  readonly dir: string;
  readonly manifest: Manifest;
  /** false: the build on disk was this one already. */
  readonly changed: boolean;
  readonly ms: number;
  /** Absolute paths of all files it was made from. */
  readonly inputs: readonly string[];
}

/** Builds functions one at a time or many; keeps esbuild's state and the inspecting thread between builds, so that the next is quick. */
export class Bundler {
  readonly #config: ResolvedConfig;
  readonly #inspector: Inspector;
  readonly #contexts = new Map<
    string,
    { readonly file: string; readonly context: Promise<BuildContext<FunctionOptions>>; readonly options: FunctionOptions }
  >();
  readonly #version = packageVersion();
  #keyfold: Promise<KeyfoldModule> | undefined;

  constructor(config: ResolvedConfig, inspectTimeoutMs: number = INSPECT_TIMEOUT_MS) {
    this.#config = config;
    this.#inspector = new Inspector(inspectTimeoutMs);
    this.#inspector.warm();
  }

  /** @throws KeyfoldError `build-failed`, `forbidden-import`, `function-invalid` or `topology-invalid`; the build before it stays. */
  async build(fn: FunctionFile): Promise<BuiltFunction> {
    const started = performance.now();
    const keyfold = await (this.#keyfold ??= keyfoldModule());
    const { bundle, map, inputs } = await this.#bundle(fn, keyfold);
    const dir = join(this.#config.buildDir, fn.name);
    const settings = this.#config.functions[fn.name] ?? {};
    const [description, record] = await Promise.all([
      this.#inspect(fn, dir, bundle, map, settings),
      recordInputs(this.#config, this.#version, settings, [...inputs, ...keyfold.inputs, "tsconfig.json"]),
    ]);
    const manifest: Manifest = {
      format: 1,
      name: fn.name,
      versionId: versionOf(bundle),
      builtWith: this.#version,
      ...description,
      bytes: bundle.byteLength,
    };
    const changed = await writeBuild(dir, {
      "bundle.mjs": bundle,
      "bundle.mjs.map": map,
      "manifest.json": `${JSON.stringify(manifest, null, 2)}\n`,
      "inputs.json": `${JSON.stringify(record)}\n`,
    });
    return { ...fn, dir, manifest, changed, ms: performance.now() - started, inputs: inputs.map((path) => join(this.#config.root, path)) };
  }

  /** Gives up what is kept for a function that is no more. */
  async forget(name: string): Promise<void> {
    const kept = this.#contexts.get(name);
    this.#contexts.delete(name);
    if (kept !== undefined) await (await kept.context).dispose();
  }

  async close(): Promise<void> {
    await Promise.all([...this.#contexts.keys()].map((name) => this.forget(name)));
    await this.#inspector.close();
  }

  async #bundle(fn: FunctionFile, keyfold: KeyfoldModule): Promise<{ bundle: Uint8Array; map: Uint8Array; inputs: string[] }> {
    if (this.#contexts.get(fn.name)?.file !== fn.file) await this.forget(fn.name);
    let kept = this.#contexts.get(fn.name);
    if (kept === undefined) {
      const options = functionOptions(this.#config, fn, keyfold);
      this.#contexts.set(fn.name, (kept = { file: fn.file, context: context(options), options }));
    }
    let result: EsbuildResult<FunctionOptions>;
    try {
      result = await (await kept.context).rebuild();
    } catch (cause) {
      const { errors } = cause as Partial<BuildFailure>;
      if (errors === undefined || errors.length === 0) throw KeyfoldError.from(cause, "build-failed");
      throw await bundleError(fn.name, errors, kept.options);
    }
    const [map, bundle] = [".map", ".mjs"].map((end) => result.outputFiles.find(({ path }) => path.endsWith(end)));
    if (map === undefined || bundle === undefined)
      throw new KeyfoldError("internal", `function "${fn.name}": esbuild gave no bundle`, { remedy: "fatal" });
    // Virtual modules (keyfold's own) have a namespace before a colon.
    return {
      bundle: bundle.contents,
      map: map.contents,
      inputs: Object.keys(result.metafile.inputs).filter((path) => !/^[a-z-]+:/.test(path)),
    };
  }

  /** Evaluates the bundle from a file of its own, so that nothing is replaced by what turns out broken. */
  async #inspect(fn: FunctionFile, dir: string, bundle: Uint8Array, map: Uint8Array, settings: FunctionSettings): Promise<Description> {
    const file = await writeScratch(this.#config.buildDir, fn.name, bundle);
    try {
      const description = await this.#inspector.inspect(pathToFileURL(file).href, {
        name: fn.name,
        application: `${this.#config.name}-${fn.name}`,
        settings,
      });
      return checkedDescription(fn.name, description);
    } catch (thrown) {
      const error = KeyfoldError.from(thrown, "build-failed");
      throw this.#located(
        fn,
        error,
        sourceFrame(error.stack ?? "", pathToFileURL(file).href, Buffer.from(map).toString(), dir, this.#config.root),
      );
    } finally {
      await rm(file, { force: true });
    }
  }

  #located(fn: FunctionFile, error: KeyfoldError, frame: string | undefined): KeyfoldError {
    const where = relative(this.#config.root, fn.file);
    const said = error.message.startsWith(`function "${fn.name}"`)
      ? error.message
      : `function "${fn.name}" (${where}) cannot be read: ${error.message}`;
    return new KeyfoldError(error.code, frame === undefined ? said : `${said}\n${frame}`, {
      cause: error,
      remedy: error.remedy,
      details: { function: fn.name, file: where },
    });
  }
}
