import { setTimeout as delay } from "node:timers/promises";
import { windowedKey } from "../define/windowed-key.ts";
import { KeyfoldError } from "../errors.ts";
import type { CommitRequest, Log, TopicPartition } from "../log/log.ts";
import type { RecordBatch } from "../log/record-batch.ts";
import { StateDirectory } from "../state/directory.ts";
import type { IteratorRegistry } from "../state/iterators.ts";
import type { StoreMetrics } from "../state/metrics.ts";
import type { RecordCache } from "../state/record-cache.ts";
import type { TaskStore } from "../state/store.ts";
import type { TaskLock } from "../state/task-lock.ts";
import { decodeKey } from "../state/windowed/read.ts";
import { RecordFailure } from "../task/failure.ts";
import type { TaskInput } from "../task/input.ts";
import type { RestoreListener } from "../task/restore.ts";
import type { TaskState } from "../task/states.ts";
import { Task } from "../task/task.ts";
import type { TaskOptions } from "../task/task-options.ts";
import { changelogTopic } from "../topology/names.ts";
import type { Subtopology, TaskLogger } from "../topology/topology.ts";
import type { Cells } from "./cells.ts";
import { errorPolicy } from "./error-policy.ts";
import type { LoadedFunction } from "./functions.ts";
import { takeInvokes } from "./invoke-header.ts";
import type { ChangeListener } from "./live.ts";
import { taskLogger } from "./log-lines.ts";
import type { FromWorker, TaskAssignment, TaskStatus, WorkerData } from "./messages.ts";
import { answerJson, refusal } from "./task-answers.ts";
import { taskNumbers } from "./task-numbers.ts";
import { type Answer, TaskRunner } from "./task-runner.ts";
import { TaskStores } from "./task-stores.ts";
import { unlessAborted } from "./unless-aborted.ts";

/** How long to wait for a directory that its last owner still flushes. */
const LOCK_WAIT_MS = 30_000;
/** Longest pause before a task that could not be opened is opened again. */
const REOPEN_PAUSE_MS = 10_000;
/** Kafka takes one batch of a partition at a time, of at most 1 MiB unless told otherwise. */
const KAFKA_BATCH_BYTES = 512 * 1024;
export interface AssignedTaskOptions {
  readonly data: WorkerData;
  readonly log: Log;
  readonly cache: RecordCache;
  readonly iterators: IteratorRegistry;
  readonly cells: Cells;
  /** One async call at a time in the whole worker. */
  readonly alone: () => boolean;
  readonly loaded: LoadedFunction;
  readonly partitions: ReadonlyMap<string, number>;
  /** Bytes of RocksDB memory for each store. */
  readonly storeMemoryBytes: number;
  readonly wake: () => void;
  readonly commit: (request: CommitRequest, answers: readonly Answer[]) => Promise<number[]>;
  readonly answer: (answers: readonly Answer[]) => void;
  /** Where several hosts share the tasks: fences whoever committed as this producer before. */
  readonly takeOver?: (producer: string, changelogs: readonly TopicPartition[], signal: AbortSignal) => Promise<void>;
  /** And: has the task not been taken from us? */
  readonly stillMember?: () => Promise<boolean>;
  readonly notify: (message: FromWorker) => void;
}

/** A task from its assignment to its close: directory, stores, restore, then a runner that drives it. */
export class AssignedTask {
  readonly assignment: TaskAssignment;
  readonly id: string;
  readonly dir: string;
  runner: TaskRunner | undefined;
  readonly #o: AssignedTaskOptions;
  readonly #subtopology: Subtopology | undefined;
  readonly #stores: TaskStores;
  readonly #abort = new AbortController();
  #loaded: LoadedFunction;
  #opening: Promise<void> = Promise.resolve();
  readonly #directory: StateDirectory;
  #lock: TaskLock | undefined;
  #restoring: TaskStatus["restore"];
  #listener: ((key: string, value: unknown, timestamp: number) => void) | undefined;
  #state: TaskState = "CREATED";

  constructor(assignment: TaskAssignment, options: AssignedTaskOptions) {
    this.assignment = assignment;
    this.#o = options;
    this.#loaded = options.loaded;
    this.id = `${assignment.subtopology}_${assignment.partition}`;
    this.#directory = new StateDirectory(options.data.engine["state.dir"], options.loaded.application);
    this.dir = this.#directory.taskDirectory(this.id);
    const { data, log, cache, iterators, storeMemoryBytes } = options;
    this.#stores = new TaskStores({
      dir: this.dir,
      task: this.id,
      partition: assignment.partition,
      application: options.loaded.application,
      log,
      cache,
      iterators,
      memoryBytes: storeMemoryBytes,
      stateMaxBytes: data.limits["state.max.bytes"],
      freeze: data.dev,
      ...(data.log.kind === "kafka" ? { maxBatchBytes: KAFKA_BATCH_BYTES } : {}),
      logger: this.#logger(),
      listener: this.#restoreListener(),
      opened: (store) => {
        if (this.#listener !== undefined && store.name === this.#loaded.queryStore) store.onChange(this.#listener);
      },
    });
    this.#subtopology = options.loaded.topology.subtopologies.find(({ id }) => id === assignment.subtopology);
  }

  get metrics(): StoreMetrics {
    return this.#stores.metrics;
  }

  /** Next offset of the first source that is not processed to its end yet. */
  get position(): number {
    const task = this.runner?.task;
    const input = task?.inputs[0];
    return input === undefined ? 0 : Math.min(input.position, task?.inFlight.first(input) ?? Number.POSITIVE_INFINITY);
  }

  get lag(): number {
    return this.runner?.task.inputs.reduce((sum, input) => sum + (input.source.global ? 0 : input.lag), 0) ?? 0;
  }

  hasStore(name: string): boolean {
    return this.#stores.map.has(name);
  }

  store(name: string): TaskStore {
    const store = this.#stores.map.get(name);
    if (store === undefined || this.runner === undefined)
      throw new KeyfoldError("not-ready", `task ${this.id} of ${this.assignment.function} is still restoring`, { remedy: "retry" });
    return store;
  }

  listen(listener: ChangeListener | undefined): void {
    // Kept: stores may be opened later, or anew.
    this.#listener = listener === undefined ? undefined : (at, value, timestamp) => this.#tellChange(listener, at, value, timestamp);
    const name = this.#loaded.queryStore;
    if (name !== undefined) this.#stores.map.get(name)?.onChange(this.#listener);
  }

  /** Windows as `key@start/end`; an operator's own entries and older versions of a row are nobody's business. */
  #tellChange(listener: ChangeListener, at: string, value: unknown, timestamp: number): void {
    const layout = this.#stores.map.get(this.#loaded.queryStore ?? "")?.spec.layout;
    if (layout === undefined) {
      listener(at, value, timestamp, at);
      return;
    }
    const decoded = decodeKey(layout, at);
    if (decoded === undefined) return;
    const { key, start, end } = decoded;
    const row = layout.kind === "versioned" && Array.isArray(value) ? (value[0] ?? undefined) : value;
    listener(start === undefined || end === undefined ? key : windowedKey(key, start, end), row, timestamp, key);
  }

  /** Opens and restores the stores, then runs. Never rejects: a failure is told. */
  open(): Promise<void> {
    this.#opening = this.#openInTheEnd();
    return this.#opening;
  }

  /** While the log or a disk says that it may be better later, it is tried again. */
  async #openInTheEnd(): Promise<void> {
    const { signal } = this.#abort;
    for (let pause = 100; !signal.aborted; pause = Math.min(REOPEN_PAUSE_MS, pause * 2)) {
      try {
        await this.#open();
        return;
      } catch (thrown) {
        if (signal.aborted) return;
        const error = KeyfoldError.from(thrown, "task-failed");
        if (error.remedy !== "retry" || error.code === "store-locked") {
          this.#failed(error);
          return;
        }
        this.#logger().warn("the task could not be opened; it is tried again", { code: error.code, error: error.message, pauseMs: pause });
        await this.#stores.close();
        await delay(pause, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  async swap(loaded: LoadedFunction): Promise<void> {
    const subtopology = loaded.topology.subtopologies.find(({ id }) => id === this.assignment.subtopology);
    const runner = this.runner;
    if (runner === undefined || subtopology === undefined)
      throw new KeyfoldError("not-ready", `task ${this.id} cannot be swapped now`, { remedy: "retry" });
    await runner.boundary(() => {
      this.#loaded = loaded;
      runner.task.swap({ ...errorPolicy(loaded), version: loaded.version, subtopology });
    });
  }

  /** Commits (unless it is somebody else's by now), closes the stores and gives the directory back. */
  async close(commit = true): Promise<void> {
    this.#abort.abort();
    await this.#opening;
    const { runner } = this;
    if (runner !== undefined) {
      await runner.stop(commit && (runner.task.state === "RUNNING" || runner.task.state === "PAUSED"));
      if (runner.task.state !== "FAILED") runner.task.move("SUSPENDED");
      runner.task.close();
      runner.task.move("CLOSED");
    }
    await this.#stores.settled();
    if (runner !== undefined) await this.#stores.checkpoint();
    await this.#stores.close();
    this.#lock?.release();
    this.#lock = undefined;
  }

  status(): TaskStatus {
    const task = this.runner?.task;
    const entries: Record<string, number> = {};
    for (const [name, store] of this.#stores.map) entries[name] = store.approximateEntries();
    return {
      function: this.assignment.function,
      task: this.id,
      partition: this.assignment.partition,
      state: task?.state ?? this.#state,
      ...taskNumbers(task),
      lag: this.lag,
      ...(this.#restoring === undefined ? {} : { restore: this.#restoring }),
      entries,
      ...(this.runner === undefined
        ? {}
        : { processLatency: this.runner.processLatency.snapshot(), commitLatency: this.runner.commitLatency.snapshot() }),
    };
  }

  async #open(): Promise<void> {
    const subtopology = this.#subtopology;
    if (subtopology === undefined)
      throw new KeyfoldError("function-invalid", `function ${this.assignment.function} has no subtopology ${this.assignment.subtopology}`);
    this.#tell("RESTORING");
    this.#lock ??= await this.#directory.lock(this.id, { waitMs: LOCK_WAIT_MS, signal: this.#abort.signal });
    const task = this.#createTask(subtopology);
    task.move("RESTORING");
    // Whoever had the task before can commit no more from here on: what we read is the last word.
    if (task.options.atomic) await this.#o.takeOver?.(this.#producer, this.#changelogs, this.#abort.signal);
    const sources = task.inputs.map(({ topic, partition }): TopicPartition => ({ topic, partition }));
    const committed = await unlessAborted(this.#o.log.committed(this.#loaded.application, sources), this.#abort.signal);
    const ranges = await unlessAborted(this.#o.log.offsets(sources), this.#abort.signal);
    await this.#stores.open(subtopology.stores, this.#abort.signal);
    const latest = this.#loaded.settings["auto.offset.reset"] === "latest";
    task.start(
      committed.map((offset, i) => (task.inputs[i]?.source.global ? undefined : offset)),
      ranges.map((range, i) => (latest && !task.inputs[i]?.source.global ? range.end : range.start)),
    );
    this.#poison(task);
    if (this.#abort.signal.aborted) return;
    const { data } = this.#o;
    this.runner = new TaskRunner({
      task,
      log: this.#o.log,
      held: this.#o.cache,
      commit: this.#o.commit,
      commitIntervalMs: this.#loaded.settings["commit.interval.ms"] ?? data.engine["commit.interval.ms"],
      fetchMaxBytes: data.engine["fetch.max.bytes"],
      reducerTimeoutMs: data.limits["reducer.timeout.ms"],
      defaultPartitions: data.defaultPartitions,
      wake: this.#o.wake,
      answer: this.#o.answer,
      mayReturn: this.#o.stillMember !== undefined,
      ...(data.log.kind === "kafka" ? { arrived: (input, batch) => this.#arrived(input, batch) } : {}),
      failed: (error) => {
        if (this.#abort.signal.aborted)
          this.#logger().warn("the task was given up without a last commit", { code: error.code, error: error.message });
        else this.#failed(error);
      },
      reopen: (error, offsetsTell) => this.#reopen(task, error, offsetsTell),
      committed: () => this.#stores.committed(),
    });
    task.move("RUNNING");
    this.#tell("RUNNING");
  }

  /** After a failure of the log or a store: brings the task to what the log says is committed, with new stores if need be. */
  async #reopen(task: Task, error: KeyfoldError, offsetsTell: boolean): Promise<void> {
    const { log, stillMember, takeOver } = this.#o;
    if (error.code === "fenced") {
      if (!(await stillMember?.()))
        throw new KeyfoldError("not-ready", `task ${this.id} is taken from us: waiting for the group`, { remedy: "retry" });
      // Nobody has it but us: the transaction had been open for too long.
      if (task.options.atomic) await takeOver?.(this.#producer, this.#changelogs, this.#abort.signal);
    }
    // An empty write: a log that has failed recovers with it, and only then tells what it really holds.
    await unlessAborted(log.append([]), this.#abort.signal);
    const sources = task.inputs.map(({ topic, partition }) => ({ topic, partition }));
    const committed = await unlessAborted(log.committed(this.#loaded.application, sources), this.#abort.signal);
    const known =
      offsetsTell && task.inputs.every((input, i) => input.source.global || (committed[i]?.offset ?? input.committed) === input.committed);
    const { stores } = task.options.subtopology;
    if (known && error.details["store"] === undefined && stores.every(({ name }) => this.#stores.map.has(name))) {
      task.rollback();
      return;
    }
    this.#tell("RESTORING");
    await this.#stores.reopen(stores, error, this.#abort.signal);
    task.restart(committed.map((offset, i) => (task.inputs[i]?.source.global ? undefined : offset)));
    this.#tell("RUNNING");
  }

  get #changelogs(): TopicPartition[] {
    const logged = (this.#subtopology?.stores ?? []).filter((store) => store.logged);
    return logged.map(({ name }) => ({ topic: changelogTopic(this.#loaded.application, name), partition: this.assignment.partition }));
  }

  get #producer(): string {
    return `${this.#loaded.application}-${this.id}`;
  }

  /** Events that somebody waits for say so themselves. */
  #arrived(input: TaskInput, batch: RecordBatch): RecordBatch {
    if (batch.headers === undefined) return batch;
    const answers = this.#loaded.invokeStore !== undefined && this.#stores.map.has(this.#loaded.invokeStore);
    return takeInvokes(batch, this.#o.data.invokeToken, this.#loaded.name, (offset, watch) => {
      if (answers) input.watches.set(offset, watch);
    });
  }

  #createTask(subtopology: Subtopology): Task {
    const { data, cells, partitions } = this.#o;
    const loaded = this.#loaded;
    const guarantee = loaded.settings["processing.guarantee"] ?? data.engine["processing.guarantee"];
    const options: TaskOptions = {
      ...errorPolicy(loaded),
      function: loaded.name,
      version: loaded.version,
      application: loaded.application,
      subtopology,
      partition: this.assignment.partition,
      stores: this.#stores.map,
      partitions,
      maxInFlightKeys: loaded.settings["max.in.flight.keys"] ?? 64,
      maxTaskIdleMs: data.engine["max.task.idle.ms"],
      atomic: guarantee === "exactly_once_v2",
      frozen: data.dev,
      ...(data.log.kind === "kafka" ? { maxBatchBytes: KAFKA_BATCH_BYTES } : {}),
      wallClock: Date.now,
      logger: this.#logger(),
      cells: { cells, index: this.assignment.index, alone: this.#o.alone },
      ...(loaded.invokeStore === undefined ? {} : { invokeStore: loaded.invokeStore }),
      onWatched: (watch, input, record, key, store, failure) => {
        const body = failure === undefined ? answerJson(record, key, store, this.#loaded.version) : refusal(loaded.name, failure, record);
        this.runner?.hold({ watch, input, offset: record.offset, body });
      },
    };
    return new Task(options);
  }

  #restoreListener(): RestoreListener {
    const where = { function: this.assignment.function, task: this.id };
    const { notify } = this.#o;
    return {
      onRestoreStart: (store, topic, startingOffset, endingOffset) => {
        this.#restoring = { store, position: startingOffset, end: endingOffset };
        notify({ kind: "restore", event: { kind: "start", ...where, topic, store, startingOffset, endingOffset } });
      },
      onBatchRestored: (store, topic, batchEndOffset, records) => {
        if (this.#restoring !== undefined) this.#restoring.position = batchEndOffset;
        notify({ kind: "restore", event: { kind: "batch", ...where, topic, store, batchEndOffset, records } });
      },
      onRestoreEnd: (store, topic, totalRestored) => {
        this.#restoring = undefined;
        notify({ kind: "restore", event: { kind: "end", ...where, topic, store, totalRestored } });
      },
    };
  }

  #poison(task: Task): void {
    for (const { topic, partition, offset, error } of this.assignment.poisons) {
      const input = task.inputs.find((one) => one.topic === topic && one.partition === partition);
      if (input !== undefined) task.poison(input, offset, new RecordFailure(error.code, KeyfoldError.fromWire(error), false));
    }
  }

  #failed(error: KeyfoldError): void {
    this.#state = "FAILED";
    this.#o.notify({
      kind: "task",
      function: this.assignment.function,
      task: this.id,
      partition: this.assignment.partition,
      state: "FAILED",
      error: error.toWire(),
    });
  }

  #tell(state: TaskState): void {
    this.#state = state;
    this.#o.notify({ kind: "task", function: this.assignment.function, task: this.id, partition: this.assignment.partition, state });
  }

  #logger(): TaskLogger {
    return taskLogger({ function: this.assignment.function, task: this.id }, this.#o.notify);
  }
}
