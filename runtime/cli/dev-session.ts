import { readManifests } from "../bundle/build-dir.ts";
import { watch, type WatchEvent, type Watcher } from "../bundle/watch.ts";
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
    if (this.#output.json) for (const failure of initial.failures) this.#output.document({ event: "failed", ...failureDocument(this.#config, failure) });
    else reportBuild(this.#output, this.#config, initial, performance.now() - started);
    await this.#enqueue(() => this.#ensureHost(), "throw");
  }

  #receive(event: WatchEvent): void {
    const output = this.#output;
    switch (event.kind) {
      case "built": {
        const { fn } = event;
        return void this.#enqueue(async () => {
          const swapStarted = performance.now();
          if (this.#host === undefined) await this.#ensureHost();
          else if (fn.changed) await this.#host.swap(fn.manifest);
          const ms = event.ms + performance.now() - swapStarted;
          if (output.json) output.document({ event: "built", ...builtDocument(this.#config, fn), ms: Math.round(ms) });
          else output.success(fn.changed ? `${fn.name}  ${fn.manifest.versionId}  built and swapped in ${milliseconds(ms)}` : `${fn.name}  unchanged`);
        });
      }
      case "failed":
        if (output.json) output.document({ event: "failed", ...failureDocument(this.#config, event.failure) });
        else {
          output.error(event.failure.error);
          output.note(output.style("its last good version goes on", "dim"));
        }
        return;
      case "removed":
        return void this.#enqueue(async () => {
          await this.#host?.remove(event.name);
          if (output.json) output.document({ event: "removed", name: event.name });
          else output.note(`- ${event.name} is gone and was stopped; its state and topics stay`);
        });
      case "problem":
        return output.error(event.error);
      case "config-changed":
        return this.#onConfigChanged();
    }
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
