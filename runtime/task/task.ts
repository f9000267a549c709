import { KeyfoldError } from "../errors.ts";
import type { CommitRequest, OffsetCommit } from "../log/log.ts";
import { type RecordBatch, valueBytes } from "../log/record-batch.ts";
import type { RecordContext, TaskGraph } from "../topology/topology.ts";
import { Collector } from "./collector.ts";
import { CommitUnit } from "./commit-unit.ts";
import { emitDeadLetter, fatalFailure, scheduleFailure } from "./dead-letter.ts";
import { brokenBy, RecordFailure } from "./failure.ts";
import { FailurePolicy, type Verdict } from "./failure-policy.ts";
import { flushStores } from "./flush-stores.ts";
import { InFlight } from "./in-flight.ts";
import { createInputs, type Loaded, place, type TaskInput } from "./input.ts";
import { PartitionGroup } from "./partition-group.ts";
import { readAhead, releaseRead } from "./read-ahead.ts";
import { Schedules } from "./schedules.ts";
import { decodeValue, eventTime } from "./source-value.ts";
import { moved, type TaskState } from "./states.ts";
import { createTaskContext } from "./task-context.ts";
import { TaskMetrics } from "./task-metrics.ts";
import { type Interrupt, inUserCode, type TaskOptions } from "./task-options.ts";

/** Of states that wait for a commit, in one turn: large ones would be hundreds of megabytes before anybody looked. */
const SLICE_BYTES = 8 * 1024 * 1024;
/** Looking at the clock costs a part of what a record does. */
const CLOCK_EVERY = 16;

/**
 * One subtopology over one partition: the unit of state, of assignment, of recovery. This class is its synchronous core,
 * run alike by workers and by the test driver: feed records, process, prepare a commit, apply it or roll back. It never
 * touches a log; whoever drives it fetches, commits and restores.
 */
export class Task {
  readonly id: string;
  readonly inputs: readonly TaskInput[];
  readonly metrics = new TaskMetrics();
  readonly collector: Collector;
  readonly inFlight: InFlight;
  #options: TaskOptions;
  #graph: TaskGraph | undefined;
  #state: TaskState = "CREATED";
  #schedules = new Schedules();
  #abort = new AbortController();
  #streamTime = -1;
  #committedStreamTime = -1;
  readonly #group: PartitionGroup;
  #policy: FailurePolicy;
  /** Flush after each record, to find the one whose state cannot be stored. */
  #strict = false;
  /** Of the commit under way. */
  #unit: CommitUnit | undefined;
  interrupt: Interrupt | undefined;
  /** Ask for a commit as soon as possible. */
  commitSoon = false;
  /** A schedule has fired since the last commit: it may have written to stores alone. */
  #punctuated = false;
  readonly #record: RecordContext = { topic: "", partition: 0, offset: 0, timestamp: 0, headers: null };

  constructor(options: TaskOptions) {
    this.#options = options;
    this.collector = new Collector(options);
    this.id = `${options.subtopology.id}_${options.partition}`;
    this.inFlight = new InFlight(options.maxInFlightKeys, options.cells);
    const inputs = createInputs(options);
    this.inputs = inputs;
    this.#group = new PartitionGroup(inputs, options.maxTaskIdleMs, options.wallClock);
    this.#policy = new FailurePolicy(options);
    for (const [topic, count] of options.partitions) this.collector.setPartitions(topic, count);
  }

  get options(): TaskOptions {
    return this.#options;
  }

  get state(): TaskState {
    return this.#state;
  }

  move(to: TaskState): void {
    this.#state = moved(this.id, this.#state, to);
  }

  /** Starts at the committed positions; stores are restored. */
  start(committed: readonly (OffsetCommit | undefined)[], starts: readonly number[]): void {
    this.inputs.forEach((input, i) => {
      input.committed = committed[i]?.offset ?? starts[i] ?? 0;
      input.seek(input.committed);
      const time = Number(committed[i]?.metadata ?? -1);
      if (Number.isFinite(time) && time > this.#committedStreamTime) this.#committedStreamTime = time;
    });
    this.#rebuild();
  }

  /** Starts once more, over stores that were opened and restored anew, at what the log now says is committed. */
  restart(committed: readonly (OffsetCommit | undefined)[]): void {
    this.#discard();
    this.start(
      committed,
      this.inputs.map((input) => (input.source.global ? 0 : input.committed)),
    );
  }

  /** Puts other code over the same stores; call at a commit boundary only. */
  swap(options: Pick<TaskOptions, "version" | "subtopology" | "onError" | "retries" | "backoffMs" | "deadLetterTopic">): void {
    this.#options = { ...this.#options, ...options };
    this.#policy = new FailurePolicy(this.#options);
    this.#rebuild();
  }

  get dirty(): boolean {
    return (
      this.#punctuated ||
      this.inputs.some((input) => input.position !== input.committed && input.source.global !== true) ||
      this.collector.bytes > 0
    );
  }

  /** A record to leave out, found by the watchdog in an earlier life of this task. */
  poison(input: TaskInput, offset: number, failure: RecordFailure): void {
    this.#policy.poison(place(input, offset), failure);
  }

  /**
   * Processes up to `max` loaded records; returns how many it took. Stops at an interrupt, when it must wait, soon after `until`
   * (performance.now() ms), and when `held` has grown by so much that it is time to look whether to commit.
   */
  process(max: number, held?: { readonly heldBytes: number }, until = Number.POSITIVE_INFINITY): number {
    const cells = this.#options.cells;
    cells?.cells.enter(cells.index);
    let taken = 0;
    const enough = (held?.heldBytes ?? 0) + SLICE_BYTES;
    try {
      while (taken < max && this.interrupt === undefined && !this.inFlight.full && (held === undefined || held.heldBytes < enough)) {
        const input = this.#group.next();
        if (input === undefined) break;
        const loaded = input.queue[0];
        if (loaded === undefined) break;
        if (loaded.index < loaded.batch.length) {
          if (loaded.index >= loaded.prefetched) readAhead(input.source, loaded, this.#options.stores, max - taken);
          if (!this.#step(input, loaded, loaded.index)) break;
          taken++;
          loaded.index++;
          if (taken % CLOCK_EVERY === 0 && performance.now() >= until) max = taken;
        }
        if (loaded.index >= loaded.batch.length) {
          input.shift(this.inFlight.size === 0);
          // Past the holes too, once everything before them is done.
          input.position = Math.max(input.position, loaded.next);
          if (input.queue.length === 0) input.idleSince = this.#options.wallClock();
        }
      }
    } finally {
      // Other tasks come before its next turn: what was read for this one would grow old in V8's heap.
      releaseRead(this.inputs, this.#options.stores);
      cells?.cells.leave();
    }
    return taken;
  }

  /** Fires wall-clock schedules that are due. */
  punctuate(now: number): void {
    if (this.#schedules.nextWall() <= now) inUserCode(this.#options.cells, () => this.#fire("wall-clock", now));
  }

  get nextWallClock(): number {
    return this.#schedules.nextWall();
  }

  /**
   * Flushes the caches and encodes everything since the last commit; undefined when there is nothing. After it, either
   * `applyCommit` or `rollback`. Throws nothing: what cannot be stored sets `interrupt`.
   */
  prepareCommit(): CommitRequest | undefined {
    if (!this.#flush()) return undefined;
    const { application, atomic, partition, stores } = this.#options;
    const unit = new CommitUnit(this.inputs, this.#streamTime);
    const batches = [...unit.changelogs(stores.values(), application, partition), ...this.collector.take()];
    this.#unit = unit;
    this.commitSoon = false;
    this.#punctuated = false;
    if (unit.offsets.length === 0 && batches.length === 0) return undefined;
    return { group: application, producer: `${application}-${this.id}`, offsets: unit.offsets, batches, atomic };
  }

  /** The log took it all: the stores may hold it now. `bases`: offset of the first record of each batch of the request. */
  applyCommit(bases: readonly number[]): void {
    if (this.#unit === undefined) return;
    this.#unit.apply(bases, this.inputs, this.#options.stores.values());
    this.#committedStreamTime = this.#unit.streamTime;
    this.#unit = undefined;
    this.#strict = false;
    this.#policy.committed();
    this.metrics.commits++;
  }

  /** Back to the last commit: stores, outputs, positions and processors as they were then. Fetch again from `fetchPosition`. */
  rollback(): void {
    this.#discard();
    for (const store of this.#options.stores.values()) store.rollback();
    for (const input of this.inputs) input.seek(input.source.global ? 0 : input.committed);
    this.metrics.rollbacks++;
    this.#rebuild();
  }

  close(): void {
    this.#abort.abort();
    this.#graph?.close?.();
  }

  /** What was done since the last commit, as far as it is not in stores and positions. */
  #discard(): void {
    this.collector.clear();
    this.collector.begin();
    this.#policy.rolledBack();
    this.interrupt = undefined;
    this.commitSoon = false;
    this.#punctuated = false;
  }

  #rebuild(): void {
    this.#graph?.close?.();
    this.#abort.abort();
    this.#abort = new AbortController();
    this.#schedules.clear();
    this.#streamTime = this.#committedStreamTime;
    const context = createTaskContext(this.#options, {
      id: this.id,
      record: this.#record,
      collector: this.collector,
      schedules: this.#schedules,
      metrics: this.metrics,
      signal: this.#abort.signal,
      streamTime: () => this.#streamTime,
    });
    this.#graph = inUserCode(this.#options.cells, () => this.#options.subtopology.build(context));
  }

  /** One record; false: it was not taken (a retry or a rollback is due). */
  #step(input: TaskInput, loaded: Loaded, i: number): boolean {
    const { batch } = loaded;
    const offset = batch.offsets[i] ?? 0;
    this.#options.cells?.cells.record(input.index, offset);
    const record = this.#record;
    record.topic = input.source.topic;
    record.partition = input.partition;
    record.offset = offset;
    record.headers = batch.headers?.[i] ?? null;
    record.timestamp = batch.timestamps[i] ?? 0;
    const key = loaded.keys[i - loaded.firstKey] ?? null;
    this.collector.begin();
    if (!this.#policy.clear) {
      const poison = this.#policy.take(place(input, offset));
      if (poison !== undefined) {
        this.#deadLetter(key, valueBytes(batch, i), poison);
        this.commitSoon = true;
        this.#done(input, offset, key, poison);
        return true;
      }
    }
    let result: void | Promise<void>;
    try {
      const value = decodeValue(input.source.codec, batch, i);
      const time = input.source.timestamp === undefined ? record.timestamp : eventTime(input.source, key, value, record);
      if (!(time >= 0)) {
        this.metrics.drop("bad-timestamp");
        this.#done(input, offset, key, undefined);
        return true;
      }
      record.timestamp = time;
      if (time > this.#streamTime) this.#streamTime = time;
      result = this.#graph?.process(record.topic, key, value, time);
      if (this.#strict && !result) for (const store of this.#options.stores.values()) store.flush();
    } catch (thrown) {
      return this.#failed(input, offset, key, valueBytes(batch, i), RecordFailure.from(thrown));
    }
    if (result) {
      this.#track(result, input, offset, key, batch, i);
      input.position = offset + 1;
      return true;
    }
    this.#done(input, offset, key, undefined);
    if (this.#schedules.streamDue(this.#streamTime)) this.#fire("stream-time", this.#streamTime);
    return true;
  }

  #done(input: TaskInput, offset: number, key: string | null, failure: RecordFailure | undefined): void {
    input.position = offset + 1;
    this.metrics.processed++;
    if (this.#policy.retrying && failure === undefined) this.#policy.succeeded(place(input, offset));
    if (input.watches.size > 0) this.#answer(input, offset, key, this.#record, failure);
  }

  /** An async reducer is under way; what it needs of the record is kept, the record context moves on. */
  #track(result: Promise<void>, input: TaskInput, offset: number, key: string | null, batch: RecordBatch, i: number): void {
    const record = { ...this.#record };
    const failed = (thrown: unknown): void => {
      if (this.interrupt !== undefined) {
        // It must come again, and what interrupted the task may not have meant to go back behind it.
        if (this.interrupt.kind === "retry") this.interrupt = { ...this.interrupt, dirty: true };
        return;
      }
      Object.assign(this.#record, record);
      const failure = RecordFailure.from(thrown);
      const verdict = this.#judge(input, offset, failure, true);
      if (verdict.kind !== "dead-letter") return;
      this.collector.begin();
      this.#deadLetter(key, valueBytes(batch, i), failure);
      this.#answer(input, offset, key, record, failure);
    };
    const succeeded = (): void => {
      if (this.#strict && this.interrupt === undefined) {
        try {
          for (const store of this.#options.stores.values()) store.flush();
        } catch (thrown) {
          failed(thrown);
          return;
        }
      }
      this.metrics.processed++;
      this.#answer(input, offset, key, record, undefined);
    };
    this.inFlight.add(input, offset, result, succeeded, failed);
  }

  /** Gives the state after a watched record, or its failure, to who waits for it. */
  #answer(input: TaskInput, offset: number, key: string | null, record: RecordContext, failure: RecordFailure | undefined): void {
    const watch = input.watches.get(offset);
    if (watch === undefined) return;
    input.watches.delete(offset);
    if (watch.wait === "committed") this.commitSoon = true;
    const { invokeStore, stores, onWatched } = this.#options;
    onWatched?.(watch, input, record, key, invokeStore === undefined ? undefined : stores.get(invokeStore), failure);
  }

  /** Applies the error policy; true: the record is dealt with, go on. */
  #failed(input: TaskInput, offset: number, key: string | null, value: Uint8Array | null, failure: RecordFailure): boolean {
    this.collector.rewind();
    if (this.#judge(input, offset, failure, false).kind !== "dead-letter") return false;
    this.#deadLetter(key, value, failure);
    this.#done(input, offset, key, failure);
    return true;
  }

  #deadLetter(key: string | null, value: Uint8Array | null, failure: RecordFailure): void {
    emitDeadLetter({ key, value, failure, record: this.#record, task: this.id, options: this.#options, collector: this.collector });
    this.metrics.deadLettered++;
  }

  /** A store or its disk failed, not a record: the driver has to mend it. */
  #broken(thrown: unknown): boolean {
    const error = brokenBy(thrown);
    if (error !== undefined) this.interrupt = { kind: "broken", error };
    return error !== undefined;
  }

  /** The policy's verdict; what it asks of the driver is left in `interrupt`. */
  #judge(input: TaskInput, offset: number, failure: RecordFailure, applied: boolean): Verdict {
    if (this.#broken(failure.cause)) return { kind: "rollback" };
    this.metrics.failures++;
    const verdict = this.#policy.decide(place(input, offset), failure, applied);
    if (verdict.kind === "retry") this.metrics.retries++;
    if (verdict.kind === "fail")
      this.interrupt = { kind: "failed", error: fatalFailure(failure, this.#record, this.#options.function, this.id) };
    else if (verdict.kind !== "dead-letter") this.interrupt = verdict;
    return verdict;
  }

  /** Caches through the layers until none is dirty: a flush of one store may fill another downstream. */
  #flush(): boolean {
    try {
      inUserCode(this.#options.cells, () => flushStores(this.#options.stores, () => this.#graph?.beforeFlush?.(), this.id));
      return true;
    } catch (thrown) {
      if (this.#broken(thrown)) return false;
      if (this.#strict) {
        this.interrupt = { kind: "failed", error: KeyfoldError.from(thrown, "task-failed") };
        return false;
      }
      this.#options.logger.warn("a state could not be stored; going back to the last commit to find the record", { error: String(thrown) });
      this.#strict = true;
      this.interrupt = { kind: "rollback" };
      return false;
    }
  }

  #fire(type: "stream-time" | "wall-clock", now: number): void {
    const record = this.#record;
    record.timestamp = now;
    record.headers = null;
    this.collector.begin();
    try {
      const fired = this.#schedules.fire(type, now);
      this.metrics.punctuations += fired;
      if (fired > 0) this.#punctuated = true;
    } catch (thrown) {
      this.collector.rewind();
      if (this.#broken(thrown)) return;
      this.interrupt = { kind: "failed", error: scheduleFailure(thrown, type, this.#options.function, this.id) };
    }
  }
}
