import type { BuildFailure, BuiltFunction } from "../bundle/build.ts";
import { readManifest, readManifests } from "../bundle/build-dir.ts";
import { type WatchEvent, type Watcher, watch } from "../bundle/watch.ts";
import type { ResolvedConfig } from "../config/resolved.ts";
import { KeyfoldError } from "../errors.ts";
import { type RunningHost, startHost } from "../host/host.ts";
import { builtDocument, failureDocument, reportBuild } from "./build-report.ts";
import { milliseconds } from "./format.ts";
import type { Output } from "./output.ts";
import { restoreProgress } from "./restore-progress.ts";
import { announce } from "./start-host.ts";

/** A host that follows the sources, under one config. */
export class DevSession {
  readonly #config: ResolvedConfig;
  readonly #output: Output;
  readonly #onConfigChanged: () => void;
  #watcher: Watcher | undefined;
  #host: RunningHost | undefined;
  /** Swaps happen one after another, in the order of their builds. */
  #work: Promise<void> = Promise.resolve();
  #closed = false;

  static async start(config: ResolvedConfig, output: Output, onConfigChanged: () => void): Promise<DevSession> {
    const session = new DevSession(config, output, onConfigChanged);
    try {
      await session.#start();
    } catch (thrown) {
      await session.close();
      throw thrown;
    }
    return session;
  }

  private constructor(config: ResolvedConfig, output: Output, onConfigChanged: () => void) {
    this.#config = config;
    this.#output = output;
    this.#onConfigChanged = onConfigChanged;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#watcher?.close();
    await this.#work;
    await this.#host?.stop();
  }

  async #start(): Promise<void> {
    const started = performance.now();
    this.#watcher = await watch(this.#config, (event) => this.#receive(event));
    const { initial } = this.#watcher;
    if (this.#output.json)
      for (const failure of initial.failures) this.#output.document({ event: "failed", ...failureDocument(this.#config, failure) });
    else reportBuild(this.#output, this.#config, initial, performance.now() - started);
    await this.#enqueue(() => this.#ensureHost(), "throw");
  }

  #receive(event: WatchEvent): void {
    switch (event.kind) {
      case "built":
        void this.#enqueue(() => this.#built(event.fn, event.ms));
        break;
      case "failed":
        this.#failed(event.failure);
        break;
      case "removed":
        void this.#enqueue(() => this.#removed(event.name));
        break;
      case "problem":
        this.#output.error(event.error);
        break;
      case "config-changed":
        this.#onConfigChanged();
        break;
    }
  }

  async #built(fn: BuiltFunction, buildMs: number): Promise<void> {
    const started = performance.now();
    if (this.#host === undefined) await this.#ensureHost();
    else if (fn.changed) await this.#host.swap(fn.manifest);
    const ms = buildMs + performance.now() - started;
    if (this.#output.json) this.#output.document({ event: "built", ...builtDocument(this.#config, fn), ms: Math.round(ms) });
    else if (!fn.changed) this.#output.success(`${fn.name}  unchanged`);
    else this.#output.success(`${fn.name}  ${fn.manifest.versionId}  built and swapped in ${milliseconds(ms)}`);
  }

  #failed(failure: BuildFailure): void {
    if (this.#output.json) {
      this.#output.document({ event: "failed", ...failureDocument(this.#config, failure) });
      return;
    }
    this.#output.error(failure.error);
    if (readManifest(this.#config.buildDir, failure.name) !== undefined) {
      this.#output.note(this.#output.style("its last good version goes on", "dim"));
    }
  }

  async #removed(name: string): Promise<void> {
    await this.#host?.remove(name);
    if (this.#output.json) this.#output.document({ event: "removed", name });
    else this.#output.note(`- ${name} is gone and was stopped; its state and topics stay`);
  }

  /** Starts the host as soon as there is something to run. */
  async #ensureHost(): Promise<void> {
    if (this.#host !== undefined || this.#closed) return;
    if (readManifests(this.#config.buildDir).length === 0) {
      this.#output.note("nothing to run yet: waiting for a function that builds");
      return;
    }
    const host = await startHost(this.#config, { onRestore: restoreProgress(this.#output) });
    this.#host = host;
    announce(this.#output, "listening", host);
    host.running.then(
      () => {
        if (!this.#closed) announce(this.#output, "running", host);
      },
      (thrown: unknown) => this.#output.error(KeyfoldError.from(thrown)),
    );
  }

  #enqueue(task: () => Promise<void>, onError: "throw" | "tell" = "tell"): Promise<void> {
    const done = this.#work.then(() => (this.#closed ? undefined : task()));
    this.#work = done.catch((thrown: unknown) => {
      if (onError === "tell") this.#output.error(KeyfoldError.from(thrown));
    });
    return onError === "throw" ? done : this.#work;
  }
}
