import { KeyfoldError } from "../errors.ts";
import type { KafkaExtras } from "../log/kafka/log.ts";
import type { CommitRequest, Log } from "../log/log.ts";
import { IteratorRegistry } from "../state/iterators.ts";
import { RecordCache } from "../state/record-cache.ts";
import { AssignedTask } from "./assigned-task.ts";
import { Cells } from "./cells.ts";
import { LoadedFunctions } from "./functions.ts";
import { LiveFeed } from "./live.ts";
import type { FromWorker, FunctionCode, TaskAssignment, ToWorker, WatchedAnswers, WorkerData, WorkerStatus } from "./messages.ts";
import type { BatchingPort } from "./port.ts";
import { Queries } from "./queries.ts";
import { RemoteLog } from "./remote-log.ts";
import { Requests } from "./requests.ts";
import { runRoute } from "./routes.ts";
import type { Answer } from "./task-runner.ts";
import { unlessAborted } from "./unless-aborted.ts";

/**
 * One worker: the tasks assigned to it, one record cache over all their stores, and the loop that gives each its turn.
 * Nothing here waits while there is work; with none it sleeps until a message, a fetch or a deadline wakes it.
 */
export class StreamThread {
  readonly #data: WorkerData;
  readonly #port: BatchingPort<FromWorker, ToWorker>;
  readonly #requests = new Requests();
  readonly #log: Log;
  readonly #kafka: KafkaExtras | undefined;
  readonly #commit: (request: CommitRequest, answers: readonly Answer[]) => Promise<number[]>;
  readonly #cache: RecordCache;
  readonly #iterators = new IteratorRegistry();
  readonly #cells: Cells;
  readonly #alone: () => boolean;
  readonly #functions: LoadedFunctions;
  readonly #tasks: AssignedTask[] = [];
  readonly #partitions = new Map<string, number>();
  readonly #queries: Queries;
  readonly #live: LiveFeed;
  /** Functions with live queries. */
  readonly #watched = new Set<string>();
  #storeMemoryBytes = 0;
  #closing = false;
  /** Tasks are taken on and given up in the order in which we are told to. */
  #assigning: Promise<void> = Promise.resolve();
  #wake: (() => void) | undefined;
  #woken = false;

  /** `kafka`: the worker's own log; without it, the embedded log of the main thread. */
  constructor(data: WorkerData, port: BatchingPort<FromWorker, ToWorker>, kafka?: Log & KafkaExtras) {
    this.#data = data;
    this.#port = port;
    this.#cache = new RecordCache(data.cacheBytes);
    this.#cells = new Cells(data.cells);
    const aloneUntil = data.aloneMs > 0 ? performance.now() + data.aloneMs : 0;
    this.#alone = () => aloneUntil > 0 && performance.now() < aloneUntil;
    this.#functions = new LoadedFunctions(data);
    this.#kafka = kafka;
    if (kafka !== undefined) {
      this.#log = kafka;
      this.#commit = async (request, answers) => {
        const bases = await kafka.commit(request);
        if (answers.length > 0) port.send({ kind: "watched", ...watchedAnswers(answers) });
        return bases;
      };
    } else {
      const remote = new RemoteLog(
        this.#requests,
        (request, call, transfer) => port.send({ kind: "log", request, call }, transfer),
        (request) => port.send({ kind: "abort", request }),
      );
      this.#log = remote;
      this.#commit = (request, answers) => remote.commit(request, answers.length === 0 ? undefined : watchedAnswers(answers));
    }
    this.#queries = new Queries((fn, partition, store) => this.#find(fn, partition, store), data.limits["wait.max.ms"]);
    this.#live = new LiveFeed((fn, keys, bodies) => port.send({ kind: "changed", function: fn, keys, bodies }));
  }

  /** Runs until a `close` message has been answered. */
  async run(): Promise<void> {
    while (!this.#closing) {
      let worked = false;
      const now = performance.now();
      for (const { runner } of this.#tasks) if (runner?.turn(now)) worked = true;
      if (this.#cache.wantsCommit) this.#commitDirty();
      this.#queries.retry();
      this.#live.flush();
      if (worked) await new Promise((resolve) => setImmediate(resolve));
      else await this.#sleep(now);
    }
  }

  receive(message: ToWorker): void {
    switch (message.kind) {
      case "answer":
        this.#requests.answered(message.request, message.value, message.error);
        return;
      case "watch":
        this.#watch(message);
        return;
      case "query":
        this.#answer(message.request, this.#queries.ask(message.function, message.partition, message.store, message.query));
        // One that waits has a deadline that the sleep does not know yet.
        if (this.#queries.deadline < Number.POSITIVE_INFINITY) this.wake();
        return;
      case "assign":
        for (const [topic, count] of message.partitions) this.#partitions.set(topic, count);
        this.#storeMemoryBytes = Math.floor(this.#data.storeMemoryBytes / Math.max(1, message.stores));
        for (const [group, membership] of message.memberships) this.#kafka?.setMembership(group, membership);
        this.#assigning = this.#assigning.then(() => this.#assign(message.tasks, message.code));
        return;
      case "release":
        this.#answer(message.request, this.#release(message.function, message.commit));
        return;
      case "swap":
        this.#answer(message.request, this.#swap(message.code));
        return;
      case "ping":
        this.#cells.beat();
        return;
      case "live":
        if (message.on) this.#watched.add(message.function);
        else this.#watched.delete(message.function);
        for (const task of this.#tasks) if (task.assignment.function === message.function) this.#live.listen(task, message.on);
        return;
      case "route":
        this.#answer(
          message.request,
          runRoute(
            this.#functions.get(message.function),
            message.route,
            (query) => this.#requests.ask((request) => this.#port.send({ kind: "read", request, function: message.function, query })),
            { maxWaitMs: this.#data.limits["wait.max.ms"], maxBodyBytes: this.#data.limits["body.max.bytes"] },
          ),
        );
        return;
      case "status":
        this.#answer(
          message.request,
          Promise.resolve().then(() => this.#status()),
        );
        return;
      case "commit":
        this.#answer(message.request, this.#commitAll());
        return;
      case "close":
        this.#answer(message.request, this.#close());
        return;
    }
  }

  wake = (): void => {
    this.#woken = true;
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  };

  /**
   * Whoever has nothing would be done at once, and asked again for as long as the commits of the others take. A global table's
   * rows do not make a task dirty.
   */
  #commitDirty(): void {
    for (const { runner } of this.#tasks) {
      if (runner === undefined || runner.busy || runner.task.state !== "RUNNING") continue;
      if (runner.task.dirty || runner.task.inputs.some(({ source }) => source.global === true)) void runner.commit();
    }
  }

  /** Always takes a turn of the event loop: what wakes may be a promise, and messages are waited for. */
  async #sleep(now: number): Promise<void> {
    if (this.#woken) {
      this.#woken = false;
      // Other tasks' messages still need a turn of the event loop.
      await new Promise((resolve) => setImmediate(resolve));
      return;
    }
    let deadline = this.#queries.deadline;
    for (const { runner } of this.#tasks) if (runner !== undefined) deadline = Math.min(deadline, runner.deadline(now));
    await new Promise<void>((resolve) => {
      const pause = deadline - performance.now();
      const timer = pause === Number.POSITIVE_INFINITY ? undefined : setTimeout(this.wake, Math.max(1, Math.min(pause, 60_000)));
      this.#wake = () => {
        clearTimeout(timer);
        setImmediate(resolve);
      };
    });
    this.#woken = false;
  }

  async #assign(tasks: readonly TaskAssignment[], code: readonly FunctionCode[]): Promise<void> {
    const failed = new Map<string, KeyfoldError>();
    for (const one of code) {
      try {
        await this.#functions.load(one);
      } catch (thrown) {
        failed.set(one.manifest.name, KeyfoldError.from(thrown, "function-invalid", "user"));
      }
    }
    const kafka = this.#kafka;
    for (const assignment of tasks) {
      const error = failed.get(assignment.function);
      if (error !== undefined) {
        this.#port.send({
          kind: "task",
          function: assignment.function,
          task: `${assignment.subtopology}_${assignment.partition}`,
          partition: assignment.partition,
          state: "FAILED",
          error: error.toWire(),
        });
        continue;
      }
      const task = new AssignedTask(assignment, {
        data: this.#data,
        log: this.#log,
        cache: this.#cache,
        iterators: this.#iterators,
        cells: this.#cells,
        alone: this.#alone,
        loaded: this.#functions.get(assignment.function),
        partitions: this.#partitions,
        storeMemoryBytes: this.#storeMemoryBytes,
        wake: this.wake,
        commit: this.#commit,
        ...(kafka === undefined
          ? {}
          : {
              takeOver: async (producer, changelogs, signal) => {
                await kafka.openProducer(producer, signal);
                await unlessAborted(kafka.checkEnded(changelogs), signal);
              },
              stillMember: () =>
                this.#requests.ask<boolean>((request) => this.#port.send({ kind: "member", request, function: assignment.function })),
            }),
        answer: (answers) => this.#port.send({ kind: "watched", ...watchedAnswers(answers) }),
        notify: (message) => this.#port.send(message),
      });
      this.#tasks.push(task);
      if (this.#watched.has(assignment.function)) this.#live.listen(task, true);
      void task.open().then(this.wake);
    }
  }

  #watch(message: Extract<ToWorker, { kind: "watch" }>): void {
    for (const { runner, assignment } of this.#tasks) {
      if (assignment.function !== message.function || assignment.partition !== message.partition || runner === undefined) continue;
      if (runner.task.state !== "RUNNING" && runner.task.state !== "PAUSED") continue;
      for (const input of runner.task.inputs) {
        if (input.topic !== message.topic) continue;
        message.offsets.forEach((offset, i) => {
          const id = message.ids[i] ?? 0;
          // What waits for its commit is answered still.
          if (runner.holds(id)) return;
          const inFlight = (runner.task.inFlight.first(input) ?? Number.POSITIVE_INFINITY) <= offset;
          if (offset >= input.position || inFlight) input.watches.set(offset, { id, wait: message.wait });
          else {
            input.watches.delete(offset);
            this.#lost([id]);
          }
        });
        return;
      }
    }
    // Its task is being opened: when it runs, the main thread tells all of them again.
  }

  #lost(ids: readonly number[]): void {
    const error = new KeyfoldError(
      "not-ready",
      "the event was accepted, but its task was restarted before it could say the result; read the key",
      { remedy: "retry" },
    ).toWire();
    this.#port.send({ kind: "watched", ids, bodies: ids.map(() => error) });
  }

  #find(fn: string, partition: number, store: string): AssignedTask | undefined {
    return this.#tasks.find((task) => task.assignment.function === fn && task.assignment.partition === partition && task.hasStore(store));
  }

  async #release(fn: string, commit: boolean): Promise<void> {
    await this.#assigning;
    const gone = this.#tasks.filter((task) => task.assignment.function === fn);
    await Promise.all(gone.map((task) => task.close(commit)));
    for (const task of gone) this.#tasks.splice(this.#tasks.indexOf(task), 1);
  }

  async #swap(code: FunctionCode): Promise<void> {
    const loaded = await this.#functions.load(code);
    const tasks = this.#tasks.filter((task) => task.assignment.function === code.manifest.name);
    await Promise.all(tasks.map((task) => task.swap(loaded)));
    this.wake();
  }

  async #commitAll(): Promise<void> {
    await Promise.all(this.#tasks.map(async ({ runner }) => runner?.commit()));
  }

  async #close(): Promise<void> {
    await this.#assigning;
    await Promise.all(this.#tasks.map((task) => task.close()));
    this.#closing = true;
    this.wake();
  }

  #status(): WorkerStatus {
    const { usedBytes, dirtyBytes } = this.#cache;
    let gets = 0;
    let misses = 0;
    for (const { metrics } of this.#tasks) {
      gets += metrics.gets;
      misses += metrics.misses;
    }
    return {
      worker: this.#data.id,
      tasks: this.#tasks.map((task) => task.status()),
      cache: { usedBytes, dirtyBytes, hits: gets - misses, misses },
      heapBytes: process.memoryUsage().heapUsed,
      ...(this.#kafka === undefined ? {} : { log: this.#kafka.metrics() }),
      iterators: { open: this.#iterators.count, oldestMs: Date.now() - (this.#iterators.oldest()?.since ?? Date.now()) },
    };
  }

  #answer(request: number, work: Promise<unknown>): void {
    work.then(
      (value) => this.#port.send({ kind: "answer", request, value }),
      (thrown: unknown) => this.#port.send({ kind: "answer", request, error: KeyfoldError.from(thrown).toWire() }),
    );
  }
}

function watchedAnswers(answers: readonly Answer[]): WatchedAnswers {
  return {
    ids: answers.map(({ watch }) => watch.id),
    bodies: answers.map(({ body }) => (typeof body === "string" ? body : body.toWire())),
  };
}
