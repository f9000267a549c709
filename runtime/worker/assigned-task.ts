import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import type { ErrorPolicy } from "../config/resolved.ts";
import { windowedKey } from "../define/windowed-key.ts";
import { KeyfoldError } from "../errors.ts";
import type { CommitRequest, Log, TopicPartition } from "../log/log.ts";
import type { RecordBatch } from "../log/record-batch.ts";
import { Checkpoint } from "../state/checkpoint.ts";
import { StateDirectory } from "../state/directory.ts";
import { StoreMetrics } from "../state/metrics.ts";
import { setAside } from "../state/open-engine.ts";
import { openStore, storeDirectory } from "../state/open-store.ts";
import type { RecordCache } from "../state/record-cache.ts";
import type { TaskStore } from "../state/store.ts";
import type { TaskLock } from "../state/task-lock.ts";
import { decodeKey, readKey } from "../state/windowed/read.ts";
import { RecordFailure } from "../task/failure.ts";
import type { TaskInput } from "../task/input.ts";
import { stateJson } from "../task/json.ts";
import { restoreStore } from "../task/restore.ts";
import type { TaskState } from "../task/states.ts";
import { Task } from "../task/task.ts";
import type { TaskOptions } from "../task/task-options.ts";
import { changelogTopic } from "../topology/names.ts";
import type { Subtopology, TaskLogger } from "../topology/topology.ts";
import type { Cells } from "./cells.ts";
import type { LoadedFunction } from "./functions.ts";
import { takeInvokes } from "./invoke-header.ts";
import type { FromWorker, TaskAssignment, TaskStatus, WorkerData } from "./messages.ts";
import { type Answer, TaskRunner } from "./task-runner.ts";

const DEFAULT_DELETE_RETENTION_MS = 24 * 60 * 60 * 1000;
/** How long to wait for a directory that its last owner still flushes. */
const LOCK_WAIT_MS = 30_000;
/** Longest pause before a task that could not be opened is opened again. */
const REOPEN_PAUSE_MS = 10_000;
/** Kafka takes one batch of a partition at a time, of at most 1 MiB unless told otherwise. */
const KAFKA_BATCH_BYTES = 512 * 1024;
/** Between two writes of `.checkpoint`: it is for people, the stores keep their own positions. */
const CHECKPOINT_INTERVAL_MS = 1_000;

export interface AssignedTaskOptions {
  readonly data: WorkerData;
  readonly log: Log;
  readonly cache: RecordCache;
  readonly cells: Cells;
  readonly loaded: LoadedFunction;
  readonly partitions: ReadonlyMap<string, number>;
  /** Bytes of RocksDB memory for each store. */
  readonly storeMemoryBytes: number;
  readonly wake: () => void;
  readonly commit: (request: CommitRequest, answers: readonly Answer[]) => Promise<number[]>;
  readonly answer: (answers: readonly Answer[]) => void;
  /** Where several hosts share the tasks: fences whoever committed as this producer before. */
  readonly takeOver?: (producer: string) => Promise<void>;
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
  readonly #stores = new Map<string, TaskStore>();
  readonly #abort = new AbortController();
  #loaded: LoadedFunction;
  #opening: Promise<void> = Promise.resolve();
  readonly #directory: StateDirectory;
  readonly #checkpoint: Checkpoint;
  readonly metrics = new StoreMetrics();
  #lock: TaskLock | undefined;
  #checkpointed = 0;
  #checkpointing: Promise<void> = Promise.resolve();
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
    this.#checkpoint = new Checkpoint(this.dir);
    this.#subtopology = options.loaded.topology.subtopologies.find(({ id }) => id === assignment.subtopology);
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
    return this.#stores.has(name);
  }

  store(name: string): TaskStore {
    const store = this.#stores.get(name);
    if (store === undefined || this.runner === undefined)
      throw new KeyfoldError("not-ready", `task ${this.id} of ${this.assignment.function} is still restoring`, { remedy: "retry" });
    return store;
  }

  listen(listener: ((key: string, value: unknown, timestamp: number) => void) | undefined): void {
    // Kept: stores may be opened later, or anew.
    this.#listener = listener === undefined ? undefined : (at, value, timestamp) => this.#tellChange(listener, at, value, timestamp);
    const name = this.#loaded.queryStore;
    if (name !== undefined) this.#stores.get(name)?.onChange(this.#listener);
  }

  /** Windows as `key@start/end`; an operator's own entries and older versions of a row are nobody's business. */
  #tellChange(listener: (key: string, value: unknown, timestamp: number) => void, at: string, value: unknown, timestamp: number): void {
    const layout = this.#stores.get(this.#loaded.queryStore ?? "")?.spec.layout;
    if (layout === undefined) {
      listener(at, value, timestamp);
      return;
    }
    const decoded = decodeKey(layout, at);
    if (decoded === undefined) return;
    const { key, start, end } = decoded;
    const row = layout.kind === "versioned" && Array.isArray(value) ? (value[0] ?? undefined) : value;
    listener(start === undefined || end === undefined ? key : windowedKey(key, start, end), row, timestamp);
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
        await this.#closeStores();
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
      runner.task.swap({ ...policy(loaded), version: loaded.version, subtopology });
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
    await this.#checkpointing;
    if (runner !== undefined) await this.#writeCheckpoint();
    await this.#closeStores();
    this.#lock?.release();
    this.#lock = undefined;
  }

  async #closeStores(): Promise<void> {
    // Nobody finds a store that is closed, or being closed.
    const stores = [...this.#stores.values()];
    this.#stores.clear();
    for (const store of stores) await store.close();
  }

  status(): TaskStatus {
    const task = this.runner?.task;
    const {
      processed = 0,
      failures = 0,
      retries = 0,
      deadLettered = 0,
      punctuations = 0,
      commits = 0,
      rollbacks = 0,
      dropped = {},
    } = task?.metrics ?? {};
    const positions: Record<string, number> = {};
    const committed: Record<string, number> = {};
    for (const input of task?.inputs ?? []) {
      positions[`${input.topic}[${input.partition}]`] = input.position;
      committed[`${input.topic}[${input.partition}]`] = input.committed;
    }
    const entries: Record<string, number> = {};
    for (const [name, store] of this.#stores) entries[name] = store.approximateEntries();
    return {
      function: this.assignment.function,
      task: this.id,
      partition: this.assignment.partition,
      state: task?.state ?? this.#state,
      positions,
      committed,
      lag: this.lag,
      ...(this.#restoring === undefined ? {} : { restore: this.#restoring }),
      entries,
      ...(this.runner === undefined
        ? {}
        : { processLatency: this.runner.processLatency.snapshot(), commitLatency: this.runner.commitLatency.snapshot() }),
      counters: { processed, failures, retries, deadLettered, punctuations, commits, rollbacks, dropped: { ...dropped } },
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
    if (task.options.atomic) await this.#o.takeOver?.(this.#producer);
    const sources = task.inputs.map(({ topic, partition }): TopicPartition => ({ topic, partition }));
    const committed = await this.#o.log.committed(this.#loaded.application, sources);
    const ranges = await this.#o.log.offsets(sources);
    for (const spec of subtopology.stores) {
      await this.#openStore(spec);
      if (spec.logged) await this.#restore(spec);
    }
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
      reopen: (error) => this.#reopen(task, error),
      committed: () => this.#committed(),
    });
    task.move("RUNNING");
    this.#tell("RUNNING");
  }

  /** After a failure of the log or a store: brings the task to what the log says is committed, with new stores if need be. */
  async #reopen(task: Task, error: KeyfoldError): Promise<void> {
    const { log, stillMember, takeOver } = this.#o;
    if (error.code === "fenced") {
      if (!(await stillMember?.()))
        throw new KeyfoldError("not-ready", `task ${this.id} is taken from us: waiting for the group`, { remedy: "retry" });
      // Nobody has it but us: the transaction had been open for too long.
      if (task.options.atomic) await takeOver?.(this.#producer);
    }
    // An empty write: a log that has failed recovers with it, and only then tells what it really holds.
    await log.append([]);
    const committed = await log.committed(
      this.#loaded.application,
      task.inputs.map(({ topic, partition }) => ({ topic, partition })),
    );
    const known = task.inputs.every((input, i) => input.source.global || (committed[i]?.offset ?? input.committed) === input.committed);
    const { stores } = task.options.subtopology;
    if (known && error.details["store"] === undefined && stores.every(({ name }) => this.#stores.has(name))) {
      task.rollback();
      return;
    }
    this.#tell("RESTORING");
    const before = [...this.#stores.values()];
    this.#stores.clear();
    for (const store of before) await store.close();
    for (const spec of stores) {
      if (error.code === "store-corrupt" && error.details["store"] === spec.name) await this.#setAside(spec.name, error.message);
      await this.#openStore(spec);
      if (spec.logged) await this.#restore(spec);
    }
    task.restart(committed.map((offset, i) => (task.inputs[i]?.source.global ? undefined : offset)));
    this.#tell("RUNNING");
  }

  get #producer(): string {
    return `${this.#loaded.application}-${this.id}`;
  }

  /** Events that somebody waits for say so themselves. */
  #arrived(input: TaskInput, batch: RecordBatch): RecordBatch {
    if (batch.headers === undefined) return batch;
    const answers = this.#loaded.invokeStore !== undefined && this.#stores.has(this.#loaded.invokeStore);
    return takeInvokes(batch, this.#o.data.invokeToken, this.#loaded.name, (offset, watch) => {
      if (answers) input.watches.set(offset, watch);
    });
  }

  async #setAside(store: string, reason: string): Promise<void> {
    const dir = storeDirectory(this.dir, store);
    if (!existsSync(dir)) return;
    await setAside({ dir, store, task: this.id }, reason, {
      now: Date.now,
      onNotice: ({ message, ...fields }) => this.#logger().warn(message, fields),
    });
  }

  #committed(): void {
    const now = performance.now();
    if (now - this.#checkpointed < CHECKPOINT_INTERVAL_MS) return;
    this.#checkpointed = now;
    this.#checkpointing = this.#checkpointing.then(() => this.#writeCheckpoint());
  }

  /** Best effort: a checkpoint that cannot be written loses nothing. */
  async #writeCheckpoint(): Promise<void> {
    const partition = this.assignment.partition;
    const offsets = [...this.#stores.values()].flatMap((store) => {
      const position = store.spec.logged ? store.position() : undefined;
      return position === undefined
        ? []
        : [{ topic: changelogTopic(this.#loaded.application, store.name), partition, offset: position.offset }];
    });
    await this.#checkpoint
      .write(offsets)
      .catch((thrown: unknown) => this.#logger().warn("the checkpoint could not be written", { dir: this.dir, error: String(thrown) }));
  }

  #createTask(subtopology: Subtopology): Task {
    const { data, cells, partitions } = this.#o;
    const loaded = this.#loaded;
    const guarantee = loaded.settings["processing.guarantee"] ?? data.engine["processing.guarantee"];
    const options: TaskOptions = {
      ...policy(loaded),
      function: loaded.name,
      version: loaded.version,
      application: loaded.application,
      subtopology,
      partition: this.assignment.partition,
      stores: this.#stores,
      partitions,
      maxInFlightKeys: loaded.settings["max.in.flight.keys"] ?? 64,
      maxTaskIdleMs: data.engine["max.task.idle.ms"],
      atomic: guarantee === "exactly_once_v2",
      frozen: data.dev,
      ...(data.log.kind === "kafka" ? { maxBatchBytes: KAFKA_BATCH_BYTES } : {}),
      wallClock: Date.now,
      logger: this.#logger(),
      cells: { cells, index: this.assignment.index },
      ...(loaded.invokeStore === undefined ? {} : { invokeStore: loaded.invokeStore }),
      onWatched: (watch, input, record, key, store, failure) => {
        const body =
          failure === undefined ? this.#answer(record.partition, record.offset, key, store) : refusal(loaded.name, failure, record);
        this.runner?.hold({ watch, input, offset: record.offset, body });
      },
    };
    return new Task(options);
  }

  #answer(partition: number, offset: number, key: string | null, store: TaskStore | undefined): string | KeyfoldError {
    try {
      return this.#answerJson(partition, offset, key, store);
    } catch (thrown) {
      return KeyfoldError.from(thrown, "state-unstorable", "user");
    }
  }

  #answerJson(partition: number, offset: number, key: string | null, store: TaskStore | undefined): string {
    const entry = store === undefined || key === null ? undefined : readKey(store, key);
    const value = entry === undefined ? "null" : stateJson(entry.value);
    return `{"key":${JSON.stringify(key)},"value":${value},"timestamp":${entry?.timestamp ?? null},"partition":${partition},"offset":${offset},"version":"${this.#loaded.version}"}`;
  }

  async #openStore(spec: Subtopology["stores"][number]): Promise<TaskStore> {
    const { data, cache, storeMemoryBytes } = this.#o;
    const store = await openStore(spec, {
      dir: this.dir,
      task: this.id,
      cache,
      memoryBytes: storeMemoryBytes,
      stateMaxBytes: data.limits["state.max.bytes"],
      now: Date.now,
      deleteRetentionMs: Number(spec.changelog["delete.retention.ms"] ?? DEFAULT_DELETE_RETENTION_MS),
      freeze: data.dev,
      ...(data.log.kind === "kafka" ? { maxBatchBytes: KAFKA_BATCH_BYTES } : {}),
      metrics: this.metrics,
      onNotice: ({ message, ...fields }) => this.#logger().warn(message, fields),
    });
    this.#stores.set(spec.name, store);
    if (this.#listener !== undefined && spec.name === this.#loaded.queryStore) store.onChange(this.#listener);
    return store;
  }

  async #restore(spec: Subtopology["stores"][number]): Promise<void> {
    const topic = changelogTopic(this.#loaded.application, spec.name);
    const where = { function: this.assignment.function, task: this.id, topic };
    const run = (): ReturnType<typeof restoreStore> => {
      const store = this.#stores.get(spec.name);
      if (store === undefined) throw new KeyfoldError("internal", `store ${spec.name} is not open`);
      return restoreStore(store, {
        log: this.#o.log,
        topic,
        partition: this.assignment.partition,
        signal: this.#abort.signal,
        listener: {
          onRestoreStart: (name, _topic, startingOffset, endingOffset) => {
            this.#restoring = { store: name, position: startingOffset, end: endingOffset };
            this.#o.notify({ kind: "restore", event: { kind: "start", ...where, store: name, startingOffset, endingOffset } });
          },
          onBatchRestored: (name, _topic, batchEndOffset, records) => {
            if (this.#restoring !== undefined) this.#restoring.position = batchEndOffset;
            this.#o.notify({ kind: "restore", event: { kind: "batch", ...where, store: name, batchEndOffset, records } });
          },
          onRestoreEnd: (name, _topic, totalRestored) => {
            this.#restoring = undefined;
            this.#o.notify({ kind: "restore", event: { kind: "end", ...where, store: name, totalRestored } });
          },
        },
      });
    };
    const unusable = await run();
    if (unusable === undefined) return;
    this.#logger().warn("the store does not fit its changelog and is built anew", { store: spec.name, topic, ...unusable });
    await this.#stores.get(spec.name)?.close();
    await rm(storeDirectory(this.dir, spec.name), { recursive: true, force: true });
    await this.#openStore(spec);
    await run();
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
    const log =
      (level: "debug" | "info" | "warn" | "error") =>
      (message: string, fields: Record<string, unknown> = {}) =>
        this.#o.notify({ kind: "notice", level, message, fields: { function: this.assignment.function, task: this.id, ...fields } });
    return { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") };
  }
}

function policy({ settings, application }: LoadedFunction): {
  onError: ErrorPolicy;
  retries: number;
  backoffMs: number;
  deadLetterTopic: string;
} {
  return {
    onError: settings.onError ?? "dead-letter",
    retries: settings.retries ?? 5,
    backoffMs: settings["retry.backoff.ms"] ?? 100,
    deadLetterTopic: settings["errors.dead.letter.queue.topic.name"] ?? `${application}-dead-letters`,
  };
}

function refusal(fn: string, failure: RecordFailure, record: { topic: string; partition: number; offset: number }): KeyfoldError {
  return new KeyfoldError(
    failure.code,
    `function ${fn} refused the event: ${failure.name}: ${failure.message}; it is in the dead-letter topic`,
    {
      details: { topic: record.topic, partition: record.partition, offset: record.offset },
    },
  );
}
