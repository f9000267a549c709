import { Worker } from "node:worker_threads";
import { KeyfoldError } from "../errors.ts";
import type { DescribeOptions, Description } from "./describe.ts";
import type { InspectAnswer, InspectRequest } from "./inspect-worker.ts";

/** Importing a module again and again keeps every version in memory; after so many the thread is replaced. */
const INSPECTIONS_PER_WORKER = 200;
const HEAP_MB = 256;

interface Current {
  readonly name: string;
  readonly timer: NodeJS.Timeout;
  readonly resolve: (description: Description) => void;
  readonly reject: (error: KeyfoldError) => void;
}

/**
 * Evaluates bundles in a thread of its own, within a time limit: user code at the top of a module may throw, spin or
 * exit, and the caller goes on. One bundle at a time, so that one that hangs fails alone. The thread is kept between calls.
 */
export class Inspector {
  readonly #timeoutMs: number;
  #worker: Worker | undefined;
  #current: Current | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #used = 0;
  #closed = false;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  /** Starts the thread ahead of its first use. */
  warm(): void {
    this.#worker ??= this.#start();
  }

  inspect(bundle: string, options: DescribeOptions): Promise<Description> {
    const result = this.#turn.then(() => this.#inspect(bundle, options));
    this.#turn = result.catch(() => {});
    return result;
  }

  async close(): Promise<void> {
    this.#closed = true;
    const worker = this.#worker;
    this.#finish()?.reject(new KeyfoldError("build-failed", "the bundler was closed", { remedy: "retry" }));
    this.#worker = undefined;
    await worker?.terminate();
  }

  #inspect(bundle: string, options: DescribeOptions): Promise<Description> {
    if (this.#closed) return Promise.reject(new KeyfoldError("build-failed", "the bundler was closed", { remedy: "retry" }));
    if (this.#used >= INSPECTIONS_PER_WORKER) this.#dismiss();
    const worker = (this.#worker ??= this.#start());
    this.#used++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#expired(), this.#timeoutMs);
      this.#current = { name: options.name, timer, resolve, reject };
      worker.ref();
      worker.postMessage({ bundle, options } satisfies InspectRequest);
    });
  }

  #start(): Worker {
    const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
    const worker = new Worker(new URL(`./inspect-worker.${extension}`, import.meta.url), {
      name: "keyfold-inspect",
      // What user code prints while it is read must not reach stdout, which is data.
      stdout: true,
      stderr: true,
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MB },
    });
    worker.stdout.resume();
    worker.stderr.resume();
    worker.on("message", ({ description, error }: InspectAnswer) => {
      if (this.#worker !== worker) return;
      const current = this.#finish();
      if (description !== undefined) current?.resolve(description);
      else
        current?.reject(
          error === undefined ? new KeyfoldError("internal", "the inspect worker gave an empty answer") : KeyfoldError.fromWire(error),
        );
    });
    worker.on("error", (cause: unknown) =>
      this.#died(worker, `broke the thread that read it: ${cause instanceof Error ? cause.message : String(cause)}`),
    );
    worker.on("exit", (code) => this.#died(worker, `ended the thread that read it (exit code ${code}); a function's file must not exit`));
    worker.unref();
    return worker;
  }

  /** Ends the current inspection; its caller settles it. */
  #finish(): Current | undefined {
    const current = this.#current;
    this.#current = undefined;
    clearTimeout(current?.timer);
    this.#worker?.unref();
    return current;
  }

  #expired(): void {
    const current = this.#finish();
    this.#dismiss();
    const name = current?.name ?? "";
    const message = `function "${name}": reading the module took longer than ${this.#timeoutMs} ms; a function's file must not wait or loop at its top level`;
    current?.reject(new KeyfoldError("build-failed", message, { details: { function: name, timeoutMs: this.#timeoutMs } }));
  }

  #died(worker: Worker, what: string): void {
    if (this.#worker !== worker) return;
    const current = this.#finish();
    this.#worker = undefined;
    this.#used = 0;
    current?.reject(new KeyfoldError("build-failed", `function "${current.name}" ${what}`, { details: { function: current.name } }));
  }

  #dismiss(): void {
    const old = this.#worker;
    this.#worker = undefined;
    this.#used = 0;
    void old?.terminate();
  }
}
