import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Manifest } from "../bundle/manifest.ts";
import type { ErrorPolicy, FunctionSettings, ResolvedConfig } from "../config/resolved.ts";
import type { KeyfoldError } from "../errors.ts";
import type { TaskState } from "../task/states.ts";
import type { FunctionCode } from "../worker/messages.ts";
import type { FunctionInfo } from "./api.ts";

export type FunctionState = FunctionInfo["state"];

/** One function as this host knows it: what it is, and how its tasks are. */
export class HostedFunction {
  #manifest: Manifest;
  readonly #config: ResolvedConfig;
  #state: FunctionState = "CREATED";
  #error: KeyfoldError | undefined;
  readonly #tasks = new Map<string, TaskState>();
  /** Which tasks are ours is known. */
  #assigned = false;
  readonly #listener: (fn: string, next: FunctionState, previous: FunctionState) => void;

  constructor(manifest: Manifest, config: ResolvedConfig, listener: (fn: string, next: FunctionState, previous: FunctionState) => void) {
    this.#manifest = manifest;
    this.#config = config;
    this.#listener = listener;
  }

  get manifest(): Manifest {
    return this.#manifest;
  }

  get name(): string {
    return this.#manifest.name;
  }

  get application(): string {
    return `${this.#config.name}-${this.#manifest.name}`;
  }

  get state(): FunctionState {
    return this.#state;
  }

  get error(): KeyfoldError | undefined {
    return this.#error;
  }

  /** The config's settings over the file's over the defaults. */
  get settings(): FunctionSettings {
    return { ...this.#config.functionDefaults, ...this.#manifest.settings, ...this.#config.functions[this.name] };
  }

  get onError(): ErrorPolicy {
    return this.settings.onError ?? "dead-letter";
  }

  get code(): FunctionCode {
    return {
      manifest: this.#manifest,
      bundle: pathToFileURL(join(this.#config.buildDir, this.name, "bundle.mjs")).href,
      settings: this.settings,
    };
  }

  replace(manifest: Manifest): void {
    this.#manifest = manifest;
    this.#error = undefined;
  }

  /** Expects these tasks, which may be none of many; until all run it is rebalancing. */
  expect(tasks: readonly string[]): void {
    this.#tasks.clear();
    for (const task of tasks) this.#tasks.set(task, "CREATED");
    this.#error = undefined;
    this.#assigned = true;
    this.#refresh();
  }

  /** Its tasks are being divided over the hosts anew. */
  unassigned(): void {
    this.#tasks.clear();
    this.#assigned = false;
    this.#refresh();
  }

  get assigned(): boolean {
    return this.#assigned;
  }

  /** The task is one of those that this host was given last. */
  has(task: string): boolean {
    return this.#tasks.has(task);
  }

  stateOf(task: string): TaskState | undefined {
    return this.#tasks.get(task);
  }

  task(id: string, state: TaskState): void {
    if (!this.#tasks.has(id)) return;
    this.#tasks.set(id, state);
    this.#refresh();
  }

  fail(error: KeyfoldError): void {
    this.#error = error;
    this.#become("ERROR");
  }

  stop(state: "PENDING_SHUTDOWN" | "NOT_RUNNING"): void {
    this.#become(state);
  }

  /** Tasks that do not run yet. */
  waiting(): string[] {
    if (!this.#assigned) return [`${this.name} waits to be told its tasks`];
    return [...this.#tasks]
      .filter(([, state]) => state !== "RUNNING" && state !== "PAUSED")
      .map(([task, state]) => `${this.name} task ${task} is ${state}`);
  }

  #refresh(): void {
    if (this.#error !== undefined || this.#state === "PENDING_SHUTDOWN" || this.#state === "NOT_RUNNING") return;
    const up = [...this.#tasks.values()].every((state) => state === "RUNNING" || state === "PAUSED");
    this.#become(up && this.#assigned ? "RUNNING" : "REBALANCING");
  }

  #become(state: FunctionState): void {
    if (state === this.#state) return;
    const previous = this.#state;
    this.#state = state;
    this.#listener(this.name, state, previous);
  }
}

/** Tasks that do not run yet, of functions that did not fail. */
export function waitingOf(functions: Iterable<HostedFunction>): string[] {
  return [...functions].flatMap((fn) => (fn.state === "RUNNING" || fn.error !== undefined ? [] : fn.waiting()));
}
