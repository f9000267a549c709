import { KeyfoldError } from "../errors.ts";
import type { CommitRequest, Log } from "../log/log.ts";
import { decodeBatches, type RecordBatch } from "../log/record-batch.ts";
import { LatencyHistogram } from "../observe/latency-histogram.ts";
import type { TaskInput, Watch } from "../task/input.ts";
import type { Task } from "../task/task.ts";

/** Records processed before other tasks and messages get their turn. */
const SLICE = 2_048;
/** And for how long, about, ms: reducers may take their time. */
const TURN_MS = 40;
/** Times in a row that a store is opened anew because it is corrupt, before the function is stopped. */
const MAX_REOPENED = 3;
/** Loaded batches per input beyond which no more is fetched. */
const AHEAD = 2;

/** An answered invoke that waits for its commit. */
export interface Answer {
  readonly watch: Watch;
  readonly input: TaskInput;
  readonly offset: number;
  readonly body: string | KeyfoldError;
}

export interface RunnerOptions {
  readonly task: Task;
  readonly log: Log;
  /** What the worker's stores hold back until their commits. */
  readonly held: { readonly heldBytes: number };
  /** Commits, and gives out what waits for it. */
  readonly commit: (request: CommitRequest, answers: readonly Answer[]) => Promise<number[]>;
  readonly commitIntervalMs: number;
  readonly fetchMaxBytes: number;
  readonly reducerTimeoutMs: number;
  readonly defaultPartitions: number;
  /** A commit that was fenced may be a matter of time only: `reopen` finds out. */
  readonly mayReturn: boolean;
  /** Looks at what was fetched before the task gets it. */
  readonly arrived?: (input: TaskInput, batch: RecordBatch) => RecordBatch;
  readonly wake: () => void;
  readonly answer: (answers: readonly Answer[]) => void;
  readonly failed: (error: KeyfoldError) => void;
  /** Goes on from what the log says is committed, over stores opened anew; `offsetsTell`: unless its offsets say that nothing was. */
  readonly reopen: (error: KeyfoldError, offsetsTell: boolean) => Promise<void>;
  /** After a commit; throttled writes of `.checkpoint` happen there. */
  readonly committed: () => void;
}

/**
 * Drives one running task against a log: keeps fetches under way, lets it process, commits, and deals with what interrupts
 * it. The task itself stays synchronous; while a commit or rollback is under way (`busy`) it is left alone.
 */
export class TaskRunner {
  readonly task: Task;
  /** Of one turn: up to SLICE records of one task. */
  readonly processLatency = new LatencyHistogram();
  readonly commitLatency = new LatencyHistogram();
  readonly #o: RunnerOptions;
  /** Fetches under way, with what ends them: a rollback must not wait for a long poll. */
  readonly #fetching = new Map<TaskInput, AbortController>();
  #busy = false;
  #closed = false;
  #lastCommit = performance.now();
  /** Records of the next turn at most: what is read ahead for more of them than it gets to would lie about until the one after. */
  #most = SLICE;
  #resumeAt = 0;
  #backoff = 0;
  #sending: Promise<unknown> | undefined;
  #uncommitted: Answer[] = [];
  /** The commit that is on its way: whether the log has it is not known. */
  #unsure: CommitRequest | undefined;
  /** Stores and log may have come apart: only opening again brings them together. */
  #adrift: KeyfoldError | undefined;
  /** The log's offsets show whether it has the commit that went missing. */
  #offsetsTell = true;
  /** Times it was opened again since the last commit. */
  #reopened = 0;

  constructor(options: RunnerOptions) {
    this.#o = options;
    this.task = options.task;
    this.task.inFlight.onSettled = options.wake;
  }

  get busy(): boolean {
    return this.#busy;
  }

  /** An answer for a watched record; held back until the commit if that is what the client waits for. */
  hold(answer: Answer): void {
    if (answer.watch.wait === "processed") this.#o.answer([answer]);
    else this.#uncommitted.push(answer);
  }

  /** The answer waits for its commit. */
  holds(id: number): boolean {
    return this.#uncommitted.some(({ watch }) => watch.id === id);
  }

  /** One turn: true when it made progress. */
  turn(now: number): boolean {
    const { task } = this;
    if (this.#busy || this.#closed) return false;
    if (task.state === "PAUSED") {
      if (now < this.#resumeAt) return false;
      const adrift = this.#adrift;
      if (adrift !== undefined) {
        void this.#exclusive(() => this.#reopen(adrift));
        return true;
      }
      task.move("RUNNING");
    }
    if (task.state !== "RUNNING") return false;
    this.#pump();
    task.inFlight.expire(this.#o.reducerTimeoutMs);
    if (task.nextWallClock <= task.options.wallClock()) task.punctuate(task.options.wallClock());
    const begun = performance.now();
    const taken = task.process(this.#most, this.#o.held, begun + TURN_MS);
    const spent = performance.now() - begun;
    if (taken > 0) this.processLatency.observe(spent);
    this.#most = Math.min(SLICE, spent < TURN_MS ? this.#most * 2 : Math.max(1, taken) * 2);
    if (task.interrupt !== undefined) {
      void this.#exclusive(() => this.#interrupted());
      return taken > 0;
    }
    if (task.commitSoon || (now - this.#lastCommit >= this.#o.commitIntervalMs && task.dirty)) void this.commit();
    else if (!task.options.atomic && task.collector.bytes > 0 && this.#sending === undefined) this.#send();
    if (taken > 0) this.#pump();
    return taken > 0;
  }

  /** When it wants its next turn at the latest, performance.now() ms. */
  deadline(now: number): number {
    const { task } = this;
    if (this.#busy || this.#closed) return Number.POSITIVE_INFINITY;
    if (task.state === "PAUSED") return this.#resumeAt;
    if (task.state !== "RUNNING") return Number.POSITIVE_INFINITY;
    let next = task.dirty ? this.#lastCommit + this.#o.commitIntervalMs : Number.POSITIVE_INFINITY;
    const wall = task.nextWallClock;
    if (wall !== Number.POSITIVE_INFINITY) next = Math.min(next, now + Math.max(0, wall - task.options.wallClock()));
    if (task.inFlight.size > 0) next = Math.min(next, now + this.#o.reducerTimeoutMs / 2);
    const idle = task.options.maxTaskIdleMs;
    if (idle > 0 && task.inputs.some((input) => input.queue.length > 0)) next = Math.min(next, now + idle);
    return next;
  }

  /** Commits now, after what is in flight. Resolves when done; failures go through `failed`. */
  commit(): Promise<void> {
    return this.boundary(() => {});
  }

  /** Commits, then does something before the next record is taken: where code is swapped and tasks are given up. */
  boundary(work: () => void): Promise<void> {
    return this.#exclusive(async () => {
      const { task } = this;
      if (task.state === "RUNNING" || task.state === "PAUSED") {
        await task.inFlight.drain(this.#o.reducerTimeoutMs);
        await this.#sending;
        if (task.interrupt === undefined) await this.#commit();
        if (task.interrupt !== undefined) await this.#interrupted();
      }
      work();
    });
  }

  /** Somebody else than the task found a store to be corrupt. */
  damaged(error: KeyfoldError): void {
    if (this.#adrift === undefined) void this.#exclusive(() => this.#broken(error));
  }

  /** Ends it: after a last commit, or (not clean) as it is. */
  async stop(clean: boolean): Promise<void> {
    if (clean) await this.boundary(() => this.#end());
    this.#end();
    while (this.#busy) await this.#idle();
  }

  #end(): void {
    this.#closed = true;
    this.#abortFetches();
  }

  #idleWaiters: (() => void)[] = [];

  #idle(): Promise<void> {
    return this.#busy ? new Promise((resolve) => this.#idleWaiters.push(resolve)) : Promise.resolve();
  }

  async #exclusive(work: () => Promise<void>): Promise<void> {
    while (this.#busy) await this.#idle();
    this.#busy = true;
    try {
      await work();
    } catch (thrown) {
      await this.#broken(KeyfoldError.from(thrown, "task-failed"));
    } finally {
      this.#busy = false;
      for (const waiter of this.#idleWaiters.splice(0)) waiter();
      this.#o.wake();
    }
  }

  async #commit(): Promise<void> {
    if (this.#adrift !== undefined) return;
    for (const topic of this.task.collector.unresolved()) await this.#resolve(topic);
    const begun = performance.now();
    const prepared = this.task.prepareCommit();
    if (this.task.interrupt !== undefined) return;
    const request = prepared === undefined ? undefined : await this.#withLate(prepared);
    const answers = this.#uncommitted;
    if (request !== undefined) {
      this.#unsure = request;
      const bases = await this.#o.commit(request, answers);
      this.#uncommitted = [];
      this.task.applyCommit(bases);
      this.#unsure = undefined;
      this.#reopened = 0;
    } else if (answers.length > 0) {
      this.#uncommitted = [];
      this.#o.answer(answers);
    }
    this.#lastCommit = performance.now();
    this.#backoff = 0;
    if (request === undefined) return;
    this.commitLatency.observe(this.#lastCommit - begun);
    this.#o.committed();
  }

  /** A flush may have emitted to topics not seen before: that belongs to this very commit. */
  async #withLate(request: CommitRequest): Promise<CommitRequest> {
    const topics = this.task.collector.unresolved();
    if (topics.length === 0) return request;
    for (const topic of topics) await this.#resolve(topic);
    // After the others: a store knows its changelog's batch by its place.
    return { ...request, batches: [...request.batches, ...this.task.collector.take()] };
  }

  async #resolve(topic: string): Promise<void> {
    const known =
      (await this.#o.log.describe(topic)) ?? (await this.#o.log.ensureTopic({ name: topic, partitions: this.#o.defaultPartitions }));
    this.task.collector.setPartitions(topic, known.partitions);
  }

  /** At least once: what was emitted goes out at once, ahead of the offsets. */
  #send(): void {
    const { task } = this;
    const unresolved = task.collector.unresolved();
    if (unresolved.length > 0) {
      this.#sending = Promise.all(unresolved.map((topic) => this.#resolve(topic)));
    } else {
      const batches = task.collector.take();
      if (batches.length === 0) return;
      this.#sending = this.#o.log.append(batches);
    }
    this.#sending
      .catch((thrown: unknown) => this.#exclusive(() => this.#broken(KeyfoldError.from(thrown, "log-unavailable", "retry"))))
      .finally(() => {
        this.#sending = undefined;
        this.#o.wake();
      });
  }

  async #interrupted(): Promise<void> {
    const { task } = this;
    await task.inFlight.drain(this.#o.reducerTimeoutMs);
    await this.#sending;
    // What ended meanwhile may have had its say in it.
    const interrupt = task.interrupt;
    if (interrupt === undefined) return;
    if (interrupt.kind === "broken") {
      this.#adrift = interrupt.error;
      task.interrupt = undefined;
      throw interrupt.error;
    }
    if (interrupt.kind === "failed") {
      task.move("FAILED");
      this.#o.failed(interrupt.error);
      return;
    }
    if (interrupt.kind === "rollback" || interrupt.dirty) this.#rollback();
    task.interrupt = undefined;
    if (interrupt.kind === "retry") {
      task.move("PAUSED");
      this.#resumeAt = performance.now() + Math.max(0, interrupt.at - task.options.wallClock());
    }
  }

  #rollback(): void {
    for (const { watch, input, offset } of this.#uncommitted.splice(0)) input.watches.set(offset, watch);
    this.#abortFetches();
    this.task.rollback();
  }

  #abortFetches(): void {
    for (const abort of this.#fetching.values()) abort.abort();
    this.#fetching.clear();
  }

  /** The log or the disk said no: back to the last commit, and once more after a pause; or for good. */
  async #broken(error: KeyfoldError): Promise<void> {
    const { task } = this;
    if (task.state !== "RUNNING" && task.state !== "PAUSED" && task.state !== "RESTORING") return;
    // Whether the log took the commit is not known, or it did and the stores do not have it: only the log can tell.
    const fenced = error.remedy === "migrated" && this.#o.mayReturn;
    if (this.#unsure !== undefined || error.remedy === "corrupt" || fenced) this.#adrift = error;
    if (this.#unsure !== undefined && !this.#showsInOffsets(this.#unsure)) this.#offsetsTell = false;
    this.#unsure = undefined;
    if ((error.remedy !== "retry" && error.remedy !== "corrupt" && !fenced) || this.#closed || this.#reopened >= MAX_REOPENED) {
      task.move("FAILED");
      this.#o.failed(error);
      return;
    }
    await task.inFlight.drain(this.#o.reducerTimeoutMs);
    // A task that could not be opened again has nothing to go back to yet.
    if (task.state === "RUNNING" || this.#adrift === undefined) this.#rollback();
    this.#backoff = Math.min(30_000, this.#backoff === 0 ? 100 : this.#backoff * 2);
    this.#resumeAt = performance.now() + this.#backoff;
    task.options.logger.warn("the log or a store failed; going back to the last commit", {
      code: error.code,
      error: error.message,
      pauseMs: this.#backoff,
    });
    if (task.state === "RUNNING") task.move("PAUSED");
  }

  /** Stores and position as the log has them. Throws what stands in the way; it is tried again then. */
  async #reopen(why: KeyfoldError): Promise<void> {
    const { task } = this;
    if (why.remedy === "corrupt") this.#reopened++;
    if (task.state === "PAUSED") task.move("RESTORING");
    try {
      await this.#o.reopen(why, this.#offsetsTell);
    } catch (thrown) {
      if (task.state === "RESTORING") task.move("PAUSED");
      throw thrown;
    }
    this.#adrift = undefined;
    this.#offsetsTell = true;
    if (!this.#closed) task.move("RUNNING");
  }

  /** What a schedule wrote may be a commit without offsets; and where it is not atomic, records go ahead of them. */
  #showsInOffsets({ offsets, atomic }: CommitRequest): boolean {
    return offsets.length > 0 && (atomic || this.#o.log.kind === "embedded");
  }

  #pump(): void {
    for (const input of this.task.inputs) {
      if (input.queue.length >= AHEAD || this.#fetching.has(input)) continue;
      const abort = new AbortController();
      this.#fetching.set(input, abort);
      void this.#fetch(input, abort);
    }
  }

  async #fetch(input: TaskInput, abort: AbortController): Promise<void> {
    const position = input.fetchPosition;
    try {
      const { topic, partition } = input;
      const fetched = await this.#o.log.fetch({
        topic,
        partition,
        position,
        maxBytes: this.#o.fetchMaxBytes,
        maxWaitMs: 10_000,
        signal: abort.signal,
      });
      if (abort.signal.aborted) return;
      this.#fetching.delete(input);
      input.end = fetched.end;
      if (fetched.next > position) {
        const batch = decodeBatches(fetched.data, { from: position });
        input.load(this.#o.arrived?.(input, batch) ?? batch, fetched.next, true);
      }
    } catch (thrown) {
      if (abort.signal.aborted) return;
      this.#fetching.delete(input);
      const error = KeyfoldError.from(thrown, "log-unavailable", "retry");
      await this.#exclusive(() => this.#broken(error));
    } finally {
      this.#o.wake();
    }
  }
}
