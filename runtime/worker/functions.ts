import type { FunctionSettings } from "../config/resolved.ts";
import { KeyfoldError } from "../errors.ts";
import { compile } from "../topology/compile.ts";
import type { Topology } from "../topology/topology.ts";
import type { FunctionCode, WorkerData } from "./messages.ts";

/** A Hono app, as far as we need one: something with `fetch`. */
export interface RoutesApp {
  fetch(request: Request, env?: unknown): Response | Promise<Response>;
}

export interface LoadedFunction {
  readonly name: string;
  readonly application: string;
  readonly version: string;
  readonly topology: Topology;
  readonly invokeStore: string | undefined;
  readonly queryStore: string | undefined;
  readonly settings: FunctionSettings;
  readonly routes: RoutesApp | undefined;
}

/** The functions of a worker: imported bundles, compiled to topologies. */
export class LoadedFunctions {
  readonly #data: WorkerData;
  readonly #loaded = new Map<string, LoadedFunction>();

  constructor(data: WorkerData) {
    this.#data = data;
  }

  get(name: string): LoadedFunction {
    const loaded = this.#loaded.get(name);
    if (loaded === undefined) throw new KeyfoldError("function-unknown", `function ${name} is not loaded here`);
    return loaded;
  }

  /** Imports a bundle; the same content is imported once. */
  async load(code: FunctionCode): Promise<LoadedFunction> {
    const { name, versionId } = code.manifest;
    const application = `${this.#data.name}-${name}`;
    let module: { default?: unknown; routes?: unknown };
    try {
      module = (await import(`${code.bundle}?v=${versionId}`)) as { default?: unknown; routes?: unknown };
    } catch (cause) {
      throw new KeyfoldError(
        "function-invalid",
        `function ${name} cannot be loaded: ${cause instanceof Error ? cause.message : String(cause)}`,
        { cause },
      );
    }
    const compiled = compile(module.default, { name, application, settings: code.settings });
    const loaded: LoadedFunction = {
      name,
      application,
      version: versionId,
      topology: compiled.topology,
      invokeStore: compiled.invoke?.store,
      queryStore: compiled.queryStore,
      settings: compiled.settings,
      routes: isRoutes(module.routes) ? module.routes : undefined,
    };
    this.#loaded.set(name, loaded);
    return loaded;
  }
}

function isRoutes(value: unknown): value is RoutesApp {
  return typeof value === "object" && value !== null && "fetch" in value && typeof value.fetch === "function";
}
