import { randomBytes, randomUUID } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import type { Manifest } from "../bundle/manifest.ts";
import type { ResolvedConfig } from "../config/resolved.ts";
import { KeyfoldError } from "../errors.ts";
import type { Log } from "../log/log.ts";
import type { Logger } from "../observe/logger.ts";
import type { FromWorker, RestoreEvent } from "../worker/messages.ts";
import type { HostApi, ListQuery } from "./api.ts";
import { Appender } from "./appender.ts";
import { Fleet } from "./fleet.ts";
import { FunctionGroup } from "./function-group.ts";
import { type FunctionState, HostedFunction, waitingOf } from "./functions.ts";
import { createHostApi, type Scrape } from "./host-api.ts";
import { Invoker } from "./invoker.ts";
import { LiveQueries } from "./live-queries.ts";
import type { Join } from "./open-log.ts";
import { expectedStores, type PlannedTask, taskId, tasksOf } from "./placement.ts";
import { StateCleaner } from "./state-cleaner.ts";
import { ensureTopics, type Partitions } from "./topics.ts";

/** Kafka takes one batch of a partition at a time, of at most 1 MiB unless told otherwise. */
const KAFKA_BATCH_BYTES = 512 * 1024;

export interface EngineOptions {
  readonly config: ResolvedConfig;
  readonly log: Log;
  /** Where several hosts share the tasks: makes this one a member of a function's group. Without it, all tasks are ours. */
  readonly join?: Join;
  readonly logger: Logger;
  readonly onStateChange?: (fn: string, next: FunctionState, previous: FunctionState) => void;
  readonly onRestore?: (event: RestoreEvent) => void;
  /** Makes the text of `/metrics` from what functions and workers report. */
  readonly scrape?: Scrape;
}

/** The running parts of a host short of HTTP: functions, their tasks on the fleet of workers, and the ways in and out. */
export class Engine {
  readonly api: HostApi;
  readonly #o: EngineOptions;
  readonly #functions = new Map<string, HostedFunction>();
  readonly #partitions: Partitions = new Map();
  readonly #groups = new Map<string, FunctionGroup>();
  readonly #fleet: Fleet;
  readonly #appender: Appender;
  readonly #invoker: Invoker;
  readonly #live: LiveQueries;
  /** Changes to the set of functions, one at a time. */
  readonly #cleaner: StateCleaner;
  #changes: Promise<void> = Promise.resolve();
  #runningWaiters: (() => void)[] = [];
  #url: string | undefined;
  readonly #id: string;

  constructor(options: EngineOptions) {
    this.#o = options;
    const { config, log } = options;
    const kafka = log.kind === "kafka";
    const invokeToken = randomBytes(6).toString("hex");
    this.#id = config.engine["group.instance.id"] ?? randomUUID();
    this.#appender = new Appender(log, kafka ? { maxBatchBytes: KAFKA_BATCH_BYTES } : {});
    this.#fleet = new Fleet({
      config,
      log,
      partitions: this.#partitions,
      settled: this.#appender.settled,
      invokeToken,
      membership: (fn) => this.#groups.get(fn)?.membership,
      receive: (message, worker) => this.#receive(message, worker),
      function: (name) => this.#functions.get(name),
      stores: () => expectedStores(this.#functions.values(), this.#partitions),
      failed: (fn, error) => this.#failed(fn, error),
      restarted: (tasks) => {
        for (const task of tasks) this.#functions.get(task.function)?.task(taskId(task), "CREATED");
        this.#live.resume();
      },
      notice: (level, message, fields) => options.logger[level](fields, message),
    });
    this.#live = new LiveQueries((fn, on) => this.#fleet.broadcast({ kind: "live", function: fn, on }));
    this.#invoker = new Invoker(
      this.#appender,
      config.limits["wait.max.ms"],
      (order) => {
        const fn = this.#functions.get(order.function);
        if (fn === undefined || fn.error !== undefined) {
          const error = stopped(order.function, fn?.error).toWire();
          this.#invoker.answered(
            order.ids,
            order.ids.map(() => error),
          );
        }
        // Without a worker they wait: when the task runs again they are told to the one that has it.
        else this.#fleet.owner(order.function, invokeSubtopology(fn.manifest), order.partition)?.send({ kind: "watch", ...order });
      },
      kafka ? invokeToken : undefined,
    );
    this.#cleaner = new StateCleaner(
      config,
      (application, task) => [...this.#functions.values()].some((fn) => fn.application === application && fn.has(task)),
      (dirs) => options.logger.info({ dirs }, "removed task directories that nobody used (state.cleanup.delay.ms)"),
    );
    this.api = createHostApi({
      config,
      log,
      functions: this.#functions,
      partitions: this.#partitions,
      fleet: this.#fleet,
      appender: this.#appender,
      invoker: this.#invoker,
      live: this.#live,
      scrape: options.scrape ?? (() => Promise.resolve("")),
      url: () => this.#url ?? "",
      groups: this.#groups,
    });
  }

  /** Where this host is reached: others are told when it joins their groups, so it joins none before. */
  setUrl(url: string): void {
    this.#url = url;
    for (const group of this.#groups.values()) group.start();
  }

  async start(manifests: readonly Manifest[]): Promise<void> {
    // All are known before the first store opens: they share the memory.
    const functions = manifests.map((manifest) => this.#create(manifest));
    for (const fn of functions) await this.#ensureTopics(fn);
    for (const fn of functions) this.#run(fn);
  }

  swap(manifest: Manifest): Promise<void> {
    return this.#change(async () => {
      const fn = this.#functions.get(manifest.name);
      if (fn === undefined) return this.#add(manifest);
      if (fn.manifest.versionId === manifest.versionId && fn.error === undefined) return;
      const sameShape =
        isDeepStrictEqual(fn.manifest.topology, manifest.topology) &&
        isDeepStrictEqual(fn.manifest.settings, manifest.settings) &&
        fn.state === "RUNNING";
      if (sameShape) {
        fn.replace(manifest);
        await this.#fleet.swap(fn.code);
      } else {
        await this.#leave(fn.name);
        fn.replace(manifest);
        await this.#ensureTopics(fn);
        this.#run(fn);
      }
      this.#o.logger.info({ function: fn.name, version: manifest.versionId }, "function swapped");
    });
  }

  remove(name: string): Promise<void> {
    return this.#change(async () => {
      const fn = this.#functions.get(name);
      if (fn === undefined) return;
      fn.stop("PENDING_SHUTDOWN");
      await this.#leave(name);
      fn.stop("NOT_RUNNING");
      this.#functions.delete(name);
      this.#invoker.fail(name, stopped(name, undefined));
    });
  }

  /** Resolves when every function that did not fail runs. */
  running(): Promise<void> {
    if (waitingOf(this.#functions.values()).length === 0) return Promise.resolve();
    return new Promise((resolve) => this.#runningWaiters.push(resolve));
  }

  /** `force`: no last commit; the next start goes on from the one before. Resolves to whether everything was committed. */
  async close(force = false): Promise<boolean> {
    for (const fn of this.#functions.values()) if (fn.error === undefined) fn.stop("PENDING_SHUTDOWN");
    await this.#changes.catch(() => {});
    await this.#cleaner.close();
    const limit = this.#o.config.limits["stop.max.ms"];
    const ended = force ? this.#fleet.kill().then(() => false) : this.#fleet.close(limit);
    const released = ended.then(() => {});
    await Promise.all([...this.#groups.values()].map((group) => group.end(released, force ? { leave: false } : undefined)));
    const committed = await ended;
    if (!committed && !force)
      this.#o.logger.warn(
        { limit },
        "stopped without the last commit, which the log has not answered in time (limits: stop.max.ms); nothing is lost, the next start goes on from the commit before",
      );
    this.#groups.clear();
    this.#invoker.close();
    this.#live.close();
    for (const fn of this.#functions.values()) if (fn.error === undefined) fn.stop("NOT_RUNNING");
    return committed;
  }

  #change(work: () => Promise<void>): Promise<void> {
    const done = this.#changes.catch(() => {}).then(work);
    this.#changes = done;
    return done;
  }

  async #add(manifest: Manifest): Promise<void> {
    const fn = this.#create(manifest);
    await this.#ensureTopics(fn);
    this.#run(fn);
  }

  #create(manifest: Manifest): HostedFunction {
    const fn = new HostedFunction(manifest, this.#o.config, (name, next, previous) => {
      this.#o.logger.info({ function: name, from: previous, to: next }, "function state");
      this.#o.onStateChange?.(name, next, previous);
      if (waitingOf(this.#functions.values()).length === 0) for (const waiter of this.#runningWaiters.splice(0)) waiter();
    });
    this.#functions.set(manifest.name, fn);
    return fn;
  }

  async #ensureTopics(fn: HostedFunction): Promise<void> {
    try {
      await ensureTopics(this.#o.log, this.#o.config, fn.manifest, this.#partitions);
    } catch (thrown) {
      // Told by whoever asked for it; whoever looks later finds the reason here.
      const error = KeyfoldError.from(thrown);
      fn.fail(error);
      this.#invoker.fail(fn.name, stopped(fn.name, error));
      throw error;
    }
  }

  #run(fn: HostedFunction): void {
    const tasks = tasksOf(fn.manifest, this.#partitions);
    const { join } = this.#o;
    if (join === undefined) this.#assigned(fn, tasks);
    else this.#join(fn, join, tasks);
  }

  #assigned(fn: HostedFunction, tasks: readonly PlannedTask[]): void {
    fn.expect(tasks.map(taskId));
    this.#fleet.assign(tasks, [fn.code]);
    this.#live.resume();
  }

  #join(fn: HostedFunction, join: Join, tasks: readonly PlannedTask[]): void {
    const { config, logger } = this.#o;
    const group = new FunctionGroup({
      join,
      config,
      fn,
      tasks,
      partitions: this.#partitions,
      self: () => ({ id: this.#id, url: this.#url ?? "" }),
      assigned: (mine) => {
        // It has failed, and is about to leave.
        if (fn.error !== undefined) return;
        logger.info({ function: fn.name, tasks: mine.map(taskId) }, "tasks assigned");
        this.#assigned(fn, mine);
        const subtopology = invokeSubtopology(fn.manifest);
        const moved = new KeyfoldError("not-ready", "the event was accepted, but its task has moved to another host; read the key", {
          remedy: "retry",
        });
        this.#invoker.fail(fn.name, moved, (partition) => this.#fleet.owner(fn.name, subtopology, partition) === undefined);
      },
      revoked: async (commit) => {
        logger.info({ function: fn.name, commit }, "tasks given up");
        fn.unassigned();
        await this.#fleet.release(fn.name, commit);
      },
      warn: (error) => logger.warn({ function: fn.name, code: error.code, error: error.message }, "group membership"),
      failed: (error) => this.#failed(fn.name, error),
    });
    this.#groups.set(fn.name, group);
    fn.unassigned();
    if (this.#url !== undefined) group.start();
  }

  /** Commits and gives up a function's tasks, then leaves its group. */
  async #leave(name: string): Promise<void> {
    const group = this.#groups.get(name);
    const released = this.#fleet.release(name);
    if (group === undefined) return released;
    await group.end(released, { leave: true });
    this.#groups.delete(name);
  }

  #receive(message: Exclude<FromWorker, { kind: "log" | "abort" | "answer" }>, worker: number): void {
    switch (message.kind) {
      case "watched":
        this.#invoker.answered(message.ids, message.bodies);
        return;
      case "task": {
        if (message.error !== undefined) this.#failed(message.function, KeyfoldError.fromWire(message.error));
        else this.#functions.get(message.function)?.task(message.task, message.state);
        if (message.state === "RUNNING") this.#invoker.rewatch(message.function, message.partition);
        return;
      }
      case "restore":
        this.#o.onRestore?.(message.event);
        return;
      case "changed":
        this.#live.changed(message.function, message.keys, message.bodies);
        return;
      case "read":
        this.#read(message);
        return;
      case "member":
        this.#isMember(message.request, message.function, worker);
        return;
      case "notice":
        this.#o.logger[message.level](message.fields, message.message);
        return;
    }
  }

  #isMember(request: number, fn: string, worker: number): void {
    const asked = this.#groups.get(fn)?.isMember() ?? Promise.resolve(false);
    asked.then(
      (value) => this.#fleet.send(worker, { kind: "answer", request, value }),
      (thrown: unknown) => this.#fleet.send(worker, { kind: "answer", request, error: KeyfoldError.from(thrown).toWire() }),
    );
  }

  /** A function's own routes ask for its state, whichever worker has it. */
  #read({ request, function: fn, query }: Extract<FromWorker, { kind: "read" }>): void {
    const answer = (message: { value?: unknown; error?: ReturnType<KeyfoldError["toWire"]> }): void =>
      this.#fleet.anyOf(fn)?.send({ kind: "answer", request, ...message });
    const work =
      query.kind === "get"
        ? this.api.get(fn, query.key, query.query)
        : query.kind === "list"
          ? this.#list(fn, query.query)
          : this.api.count(fn, query.query);
    work.then(
      (value) => answer({ value }),
      (thrown: unknown) => answer({ error: KeyfoldError.from(thrown).toWire() }),
    );
  }

  /** As many as are asked for, over as many pages as that takes. */
  async #list(fn: string, query: ListQuery): Promise<string[]> {
    const found: string[] = [];
    for (let cursor = query.cursor; ; ) {
      const page = await this.api.list(fn, { ...query, limit: query.limit - found.length, ...(cursor === undefined ? {} : { cursor }) });
      found.push(...page.items);
      if (page.cursor === null || found.length >= query.limit) return found;
      cursor = page.cursor;
    }
  }

  #failed(name: string, error: KeyfoldError): void {
    const fn = this.#functions.get(name);
    if (fn === undefined || fn.error !== undefined) return;
    this.#o.logger.error({ function: name, code: error.code, error: error.message }, "function failed");
    fn.fail(error);
    this.#invoker.fail(name, stopped(name, error));
    // A worker that dies meanwhile has let go of it as well.
    this.#change(() => this.#leave(name)).catch((thrown: unknown) =>
      this.#o.logger.debug({ function: name, error: String(thrown) }, "a failed function was not released cleanly"),
    );
  }
}

function stopped(fn: string, why: KeyfoldError | undefined): KeyfoldError {
  if (why === undefined) return new KeyfoldError("function-unknown", `function ${fn} was removed; the event was accepted`);
  return new KeyfoldError("task-failed", `function ${fn} is stopped: ${why.message}; the event was accepted, and waits in its topic`, {
    cause: why,
    details: { function: fn },
  });
}

/** The subtopology whose task answers invokes: the one that has the invoke store. */
export function invokeSubtopology(manifest: Manifest): number {
  return storeSubtopology(manifest, manifest.invoke?.store);
}

export function storeSubtopology(manifest: Manifest, store: string | undefined): number {
  return manifest.topology.subtopologies.find(({ stores }) => stores.some(({ name }) => name === store))?.id ?? 0;
}
