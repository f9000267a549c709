import { Worker } from "node:worker_threads";
import { KeyfoldError } from "../errors.ts";
import type { Log } from "../log/log.ts";
import { Cells, type Glimpse } from "../worker/cells.ts";
import type { FromWorker, ToWorker, WorkerData } from "../worker/messages.ts";
import { BatchingPort } from "../worker/port.ts";
import { Requests } from "../worker/requests.ts";
import type { RouteRequest, RouteResponse } from "./api.ts";
import { LifeSigns } from "./life-signs.ts";
import { LogServer } from "./log-server.ts";

export interface SlotOptions {
  readonly data: Omit<WorkerData, "cells">;
  readonly log: Log;
  readonly settled: (topic: string, partition: number) => Promise<void> | undefined;
  readonly receive: (message: Exclude<FromWorker, { kind: "log" | "abort" | "answer" }>) => void;
  /** The thread ended without having been asked to. `last`: what it was doing. */
  readonly died: (error: KeyfoldError, last: Glimpse) => void;
}

type Ask = Extract<ToWorker, { request: number }>;

/** One worker thread and the main thread's end of its port. After its death a new slot takes its place. */
export class WorkerSlot {
  readonly #worker: Worker;
  readonly #port: BatchingPort<ToWorker, FromWorker>;
  readonly #requests = new Requests();
  readonly #server: LogServer;
  readonly #cells = new Cells();
  #ended = false;
  readonly #signs = new LifeSigns();
  /** Functions' own routes that have not answered. */
  readonly #routes = new Set<{ readonly name: string }>();
  /** Why the thread was ended, where the only route under way is to blame. */
  #hung: KeyfoldError | undefined;

  constructor({ data, log, settled, receive, died }: SlotOptions) {
    const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
    this.#worker = new Worker(new URL(`../worker/entry.${extension}`, import.meta.url), {
      name: `keyfold-worker-${data.id}`,
      workerData: { ...data, cells: this.#cells.buffer } satisfies WorkerData,
      stdout: true,
      resourceLimits: { maxOldGenerationSizeMb: Math.ceil(data.limits["worker.heap.max.bytes"] / 2 ** 20), maxYoungGenerationSizeMb: 24 },
    });
    // What functions print is for people; stdout is data.
    this.#worker.stdout.on("data", (chunk: Buffer) => process.stderr.write(chunk));
    this.threadId = this.#worker.threadId;
    this.#port = new BatchingPort(this.#worker, (message) => {
      if (this.#ended) return;
      if (message.kind === "log") this.#server.serve(message.request, message.call);
      else if (message.kind === "abort") this.#server.abort(message.request);
      else if (message.kind === "answer") this.#requests.answered(message.request, message.value, message.error);
      else receive(message);
    });
    this.#server = new LogServer(log, this.#port, settled, (answers) => receive({ kind: "watched", ...answers }));
    const end = (error: KeyfoldError): void => {
      if (this.#ended) return;
      this.#ended = true;
      this.#server.close();
      this.#requests.rejectAll(
        new KeyfoldError("not-ready", "the worker was replaced while it was asked", { remedy: "retry", cause: error }),
      );
      died(error, this.#cells.glimpse());
    };
    this.#worker.on("error", (cause: unknown) =>
      end(
        new KeyfoldError("task-failed", `worker ${data.id} failed: ${cause instanceof Error ? cause.message : String(cause)}`, {
          cause,
          remedy: "retry",
        }),
      ),
    );
    this.#worker.on("exit", (code) =>
      end(new KeyfoldError("task-failed", `worker ${data.id} ended with code ${code}`, { remedy: "retry" })),
    );
  }

  /** The thread's id in this process, as its task locks carry it. */
  readonly threadId: number;

  send(message: ToWorker): void {
    if (!this.#ended) this.#port.send(message);
  }

  /** Sends a request and resolves with its answer. */
  ask<T, M extends Ask = Ask>(message: M extends Ask ? Omit<M, "request"> : never): Promise<T> {
    if (this.#ended) return Promise.reject(new KeyfoldError("not-ready", "the worker is being replaced", { remedy: "retry" }));
    return this.#requests.ask((request) => this.#port.send({ ...message, request } as ToWorker));
  }

  /** Runs a function's own route. */
  async route(fn: string, route: RouteRequest): Promise<RouteResponse> {
    const running = { name: `${route.method} ${route.path.slice(0, 200)} of ${fn}` };
    this.#routes.add(running);
    try {
      return await this.ask<RouteResponse>({ kind: "route", function: fn, route });
    } catch (thrown) {
      // The one that hung would hang again: it is not told to come back.
      throw this.#hung === undefined ? thrown : this.#hung;
    } finally {
      this.#routes.delete(running);
    }
  }

  /** Routes under way, for people. */
  get routes(): readonly string[] {
    return [...this.#routes].map(({ name }) => name);
  }

  /**
   * How long, in ms, user code has run without a sign of life; 0 when it has not. What goes on after an `await`, in routes and async
   * reducers, shows in no cell: while any is under way the event loop must turn, which pings show.
   */
  stuckFor(now: number): number {
    const glimpse = this.#cells.glimpse();
    const called = glimpse.unsettled > 0 || this.#routes.size > 0;
    if (called) this.send({ kind: "ping" });
    return this.#signs.stuckFor(now, glimpse, called);
  }

  glimpse(): Glimpse {
    return this.#cells.glimpse();
  }

  /** Commits, closes the stores and ends the thread. */
  async close(): Promise<void> {
    if (this.#ended) return;
    try {
      await this.ask({ kind: "close" });
    } finally {
      this.#ended = true;
      this.#server.close();
      await this.#worker.terminate();
    }
  }

  /** Resolves when the log has answered everything it was asked to write. */
  settled(): Promise<void> {
    return this.#server.settled();
  }

  /** Ends the thread at once, whatever it does; `died` is not called. */
  async kill(why?: KeyfoldError): Promise<void> {
    if (this.#routes.size === 1 && !this.#cells.glimpse().busy) this.#hung = why;
    this.#ended = true;
    this.#server.close();
    this.#requests.rejectAll(
      new KeyfoldError("not-ready", `the worker was replaced while it was asked${why === undefined ? "" : `: ${why.message}`}`, {
        remedy: "retry",
        cause: why,
      }),
    );
    await this.#worker.terminate();
  }
}
