import type { ResolvedConfig } from "../config/resolved.ts";
import { KeyfoldError } from "../errors.ts";
import type { Membership } from "../log/kafka/api/offsets.ts";
import type { Log } from "../log/log.ts";
import { StateDirectory } from "../state/directory.ts";
import type { Glimpse } from "../worker/cells.ts";
import type { FromWorker, FunctionCode, TaskAssignment, ToWorker, WorkerStatus } from "../worker/messages.ts";
import type { HostedFunction } from "./functions.ts";
import { lastCall, whatHung } from "./hung.ts";
import { type LastStatus, LastWord } from "./last-word.ts";
import { type PlannedTask, place, taskId } from "./placement.ts";
import { WorkerSlot } from "./worker-slot.ts";

/** A record a worker hung or died on. */
interface Suspect {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

interface Member {
  slot: WorkerSlot;
  readonly tasks: (PlannedTask & { readonly index: number })[];
  deaths: number;
  /** Its thread has died or is being ended, and another takes its place. */
  replacing: boolean;
  /** It was told to end and does not: V8 cannot interrupt some loops that only call built-in functions. */
  unstoppable: boolean;
  /** Hangs in a row of which nobody knows on which record. */
  unexplained: number;
  readonly word: LastWord;
}

/** How long ending a thread may take before the host calls itself unwell. */
const END_MS = 3_000;
/** Hangs that nobody can explain, after which the function whose async call began last is stopped. */
const UNEXPLAINED = 3;
/** Least time for which a new worker makes one async call at a time, ms; longer where commits are rarer. */
const ALONE_MS = 60_000;

export interface FleetOptions {
  readonly config: ResolvedConfig;
  readonly log: Log;
  readonly settled: (topic: string, partition: number) => Promise<void> | undefined;
  readonly receive: (message: Exclude<FromWorker, { kind: "log" | "abort" | "answer" }>, worker: number) => void;
  readonly partitions: ReadonlyMap<string, number>;
  readonly invokeToken: string;
  /** Where this host stands in the group of an application; undefined where there is none. */
  readonly membership: (fn: string) => Membership | undefined;
  readonly function: (name: string) => HostedFunction | undefined;
  /** Stores that share this host's memory. */
  readonly stores: () => number;
  /** A function that cannot go on: its tasks are taken from all workers. */
  readonly failed: (fn: string, error: KeyfoldError) => void;
  /** Tasks that start again elsewhere or anew. */
  readonly restarted: (tasks: readonly PlannedTask[]) => void;
  readonly notice: (level: "info" | "warn" | "error", message: string, fields: Record<string, unknown>) => void;
}

/** The host's workers: which task is where, who hangs, and who takes the place of the dead. */
export class Fleet {
  readonly #o: FleetOptions;
  readonly #members: Member[] = [];
  readonly #poisons = new Map<string, (Suspect & { readonly error: KeyfoldError })[]>();
  /** The record each death happened on, with how often: the second time it is left out. */
  readonly #suspects = new Map<string, number>();
  readonly #watchdog: NodeJS.Timeout;
  #closing = false;

  constructor(options: FleetOptions) {
    this.#o = options;
    const { engine, limits } = options.config;
    for (let id = 0; id < engine["num.stream.threads"]; id++) {
      const word = new LastWord(() => member.slot.ask<WorkerStatus>({ kind: "status" }));
      const member: Member = { slot: this.#spawn(id), tasks: [], deaths: 0, replacing: false, unstoppable: false, unexplained: 0, word };
      this.#members.push(member);
    }
    this.#watchdog = setInterval(() => this.#watch(), Math.max(50, Math.min(500, limits["reducer.timeout.ms"] / 4)));
    this.#watchdog.unref();
  }

  /** Places and starts tasks; those of one function go to as many workers as there are. */
  assign(tasks: readonly PlannedTask[], code: readonly FunctionCode[]): void {
    const where = place(
      tasks,
      this.#members.length,
      this.#members.map((member) => member.tasks),
    );
    this.#members.forEach((member, w) => {
      const mine = tasks
        .filter((_, i) => where[i] === w)
        .map((task, i) => ({ ...task, index: (member.tasks.at(-1)?.index ?? -1) + 1 + i }));
      if (mine.length === 0) return;
      member.tasks.push(...mine);
      this.#start(member, mine, code);
    });
  }

  /** Commits and closes a function's tasks everywhere; `commit` false: they belong to others by now. */
  async release(fn: string, commit = true): Promise<void> {
    await Promise.all(
      this.#members.map(async (member) => {
        if (!member.tasks.some((task) => task.function === fn)) return;
        for (let i = member.tasks.length - 1; i >= 0; i--) if (member.tasks[i]?.function === fn) member.tasks.splice(i, 1);
        if (member.replacing) return;
        await member.slot.ask({ kind: "release", function: fn, commit }).catch((thrown: unknown) => {
          // Its thread went down with the tasks: nothing is left to release.
          if (!member.replacing) throw thrown;
        });
      }),
    );
  }

  /** Puts other code under a function's tasks, each worker at its own commit boundary. */
  async swap(code: FunctionCode): Promise<void> {
    const mine = this.#members.filter((member) => member.tasks.some((task) => task.function === code.manifest.name));
    await Promise.all(
      mine.map((member) =>
        member.slot.ask({ kind: "swap", code }).catch((thrown: unknown) => {
          // The thread that takes its place begins with the new code.
          if (!member.replacing) throw thrown;
        }),
      ),
    );
  }

  /** The worker that has the task, if any has. */
  owner(fn: string, subtopology: number, partition: number): WorkerSlot | undefined {
    return this.#members.find(({ tasks }) =>
      tasks.some((t) => t.function === fn && t.subtopology === subtopology && t.partition === partition),
    )?.slot;
  }

  /** A worker that has loaded the function. */
  anyOf(fn: string): WorkerSlot | undefined {
    return this.#members.find(({ tasks }) => tasks.some((t) => t.function === fn))?.slot;
  }

  workerOf(fn: string, subtopology: number, partition: number): number {
    return this.#members.findIndex(({ tasks }) =>
      tasks.some((t) => t.function === fn && t.subtopology === subtopology && t.partition === partition),
    );
  }

  /** Sends to one worker, the answer to a question of its own for example. */
  send(worker: number, message: ToWorker): void {
    this.#members[worker]?.slot.send(message);
  }

  broadcast(message: ToWorker): void {
    for (const { slot } of this.#members) slot.send(message);
  }

  async statuses(): Promise<LastStatus[]> {
    return (await Promise.all(this.#members.map(({ word }) => word.status()))).flatMap((status) => status ?? []);
  }

  /** Every task with its worker, whatever that says. */
  placed(): { readonly function: string; readonly task: string; readonly worker: number }[] {
    return this.#members.flatMap(({ tasks }, worker) => tasks.map((task) => ({ function: task.function, task: taskId(task), worker })));
  }

  /** Workers that do not answer, user code or not. */
  silent(): string[] {
    return this.#members.flatMap(({ word, unstoppable, tasks }, id) =>
      word.silent || unstoppable ? [`worker ${id} has not answered for some seconds, and its tasks (${tasks.length}) stand still`] : [],
    );
  }

  /** What only a restart of the process would mend. */
  unhealthy(): string[] {
    return this.#members.flatMap(({ unstoppable }, id) =>
      unstoppable ? [`worker ${id} runs a reducer that cannot be interrupted, and its tasks stand still: restart the host`] : [],
    );
  }

  get taskCount(): number {
    return this.#members.reduce((sum, { tasks }) => sum + tasks.length, 0);
  }

  /** Commits everything and ends the threads; one that does not come to an end in time is ended. Resolves to whether all came to their end. */
  async close(graceMs: number): Promise<boolean> {
    this.#closing = true;
    clearInterval(this.#watchdog);
    const ends = await Promise.all(
      this.#members.map(async ({ slot }) => {
        let late: NodeJS.Timeout | undefined;
        const limit = new Promise<"late">((resolve) => {
          late = setTimeout(() => resolve("late"), graceMs);
        });
        const how = await Promise.race([slot.close().catch(() => "late" as const), limit]);
        clearTimeout(late);
        if (how === "late") await slot.kill();
        return how !== "late";
      }),
    );
    return ends.every((clean) => clean);
  }

  /** Ends the threads at once, without a commit: what a crash does. */
  async kill(): Promise<void> {
    this.#closing = true;
    clearInterval(this.#watchdog);
    await Promise.all(this.#members.map(({ slot }) => slot.kill().then(() => slot.settled())));
    await Promise.all(this.#members.map((member) => this.#unlock(member)));
  }

  #spawn(id: number, alone = false): WorkerSlot {
    const { config, log, settled, receive } = this.#o;
    const { engine, limits } = config;
    const threads = engine["num.stream.threads"];
    return new WorkerSlot({
      data: {
        id,
        name: config.name,
        engine,
        limits,
        dev: config.dev,
        cacheBytes: Math.floor(engine["cache.max.bytes.buffering"] / threads),
        storeMemoryBytes: engine["state.memory.bytes"],
        defaultPartitions: config.defaultPartitions,
        log: config.log,
        invokeToken: this.#o.invokeToken,
        aloneMs: alone ? Math.max(ALONE_MS, 2 * engine["commit.interval.ms"]) : 0,
      },
      log,
      settled,
      receive: (message) => receive(message, id),
      died: (error, last) => void this.#died(id, error, last),
    });
  }

  #start(member: Member, tasks: readonly (PlannedTask & { readonly index: number })[], code: readonly FunctionCode[]): void {
    const assignments = tasks.map((task): TaskAssignment => {
      const poisons = this.#poisons.get(taskName(task)) ?? [];
      return {
        ...task,
        poisons: poisons.map(({ topic, partition, offset, error }) => ({ topic, partition, offset, error: error.toWire() })),
      };
    });
    const memberships = code.flatMap(({ manifest: { name } }) => {
      const membership = this.#o.membership(name);
      return membership === undefined ? [] : [[`${this.#o.config.name}-${name}`, membership] as const];
    });
    member.slot.send({
      kind: "assign",
      code,
      tasks: assignments,
      partitions: [...this.#o.partitions],
      stores: this.#o.stores(),
      memberships,
    });
  }

  #watch(): void {
    const now = performance.now();
    const limit = this.#o.config.limits["reducer.timeout.ms"];
    this.#members.forEach((member, id) => {
      this.#listen(id, member, now);
      if (member.replacing || member.slot.stuckFor(now) < limit) return;
      member.replacing = true;
      const last = member.slot.glimpse();
      const error = new KeyfoldError(
        "reducer-timeout",
        `${whatHung(last, member.slot.routes)} ran longer than ${limit} ms without coming back (limits: reducer.timeout.ms)`,
        { details: { limit } },
      );
      const slow = setTimeout(() => {
        member.unstoppable = true;
        this.#o.notice("error", "a worker that hung in user code cannot be ended", { worker: id, error: error.message });
      }, END_MS);
      slow.unref();
      void member.slot.kill(error).then(() => {
        clearTimeout(slow);
        member.unstoppable = false;
        return this.#replace(id, error, last, true);
      });
    });
  }

  /** User code on a record has its own limit, and so may take as long as that. */
  #listen(id: number, { slot, word }: Member, now: number): void {
    const { silent } = word;
    const { busy, input } = slot.glimpse();
    word.look(now, busy && input >= 0);
    if (word.silent && !silent) this.#o.notice("error", "a worker does not answer", { worker: id });
  }

  async #died(id: number, error: KeyfoldError, last: Glimpse): Promise<void> {
    if (this.#closing) return;
    const member = this.#members[id];
    if (member === undefined || member.replacing) return;
    member.replacing = true;
    member.deaths++;
    const pause = Math.min(10_000, 50 * 2 ** Math.min(8, member.deaths - 1));
    await new Promise((resolve) => setTimeout(resolve, pause));
    if (!this.#closing) await this.#replace(id, error, last, false);
  }

  /** A new thread in place of one that hung or died, without the record it hung on. */
  async #replace(id: number, error: KeyfoldError, last: Glimpse, hung: boolean): Promise<void> {
    const member = this.#members[id];
    if (member === undefined || this.#closing) return;
    const culprit = hung && !last.busy ? lastCall(last, member.slot.routes) : last;
    const task = culprit.busy ? member.tasks.find(({ index }) => index === culprit.task) : undefined;
    const unexplained = hung && task === undefined && last.unsettled > 0;
    member.unexplained = unexplained ? member.unexplained + 1 : 0;
    this.#o.notice("error", hung ? "a worker hung in user code and was replaced" : "a worker died and was replaced", {
      worker: id,
      error: error.message,
      ...(task === undefined ? {} : { function: task.function, task: taskName(task), offset: culprit.offset }),
    });
    // A worker may be held up by something else than what it awaits: only a second time proves that.
    if (task !== undefined) this.#blame(task, error, culprit, hung && last.busy);
    else if (member.unexplained >= UNEXPLAINED) {
      member.unexplained = 0;
      const name = member.tasks.find(({ index }) => index === last.call.task)?.function;
      if (name !== undefined) this.#o.failed(name, error);
    }
    // A commit that the log still has in hand would come behind what the next thread reads.
    await member.slot.settled();
    await this.#unlock(member).catch((thrown: unknown) =>
      this.#o.notice("warn", "task directories of a dead worker are still locked", { worker: id, error: String(thrown) }),
    );
    if (this.#closing) return;
    member.slot = this.#spawn(id, hung && !last.busy && last.unsettled > 0);
    member.replacing = false;
    const tasks = member.tasks.filter((one) => this.#o.function(one.function)?.error === undefined);
    const code = [...new Set(tasks.map((one) => one.function))].flatMap((name) => this.#o.function(name)?.code ?? []);
    this.#o.restarted(tasks);
    this.#start(member, tasks, code);
  }

  /** The dead thread's task directories are free again. */
  async #unlock({ slot, tasks }: Member): Promise<void> {
    const { config } = this.#o;
    const applications = new Set(tasks.map((task) => `${config.name}-${task.function}`));
    for (const application of applications) await new StateDirectory(config.engine["state.dir"], application).releaseThread(slot.threadId);
  }

  #blame(task: PlannedTask & { readonly index: number }, error: KeyfoldError, last: Glimpse, hung: boolean): void {
    const fn = this.#o.function(task.function);
    if (fn === undefined) return;
    const suspect = this.#suspect(fn, task, last);
    if (suspect === undefined) {
      if (hung) this.#o.failed(task.function, error);
      return;
    }
    const where = `${task.function}/${suspect.topic}/${suspect.partition}/${suspect.offset}`;
    const times = (this.#suspects.get(where) ?? 0) + 1;
    this.#suspects.set(where, times);
    if (!hung && times < 2) return;
    if (fn.onError === "fail") {
      this.#o.failed(
        task.function,
        new KeyfoldError(
          error.code,
          `function ${task.function}: ${error.message}, at ${suspect.topic}[${suspect.partition}] offset ${suspect.offset}; stopped because onError is "fail"`,
          { cause: error },
        ),
      );
      return;
    }
    const poisons = this.#poisons.get(taskName(task)) ?? [];
    poisons.push({ ...suspect, error });
    this.#poisons.set(taskName(task), poisons.slice(-100));
    this.#suspects.delete(where);
  }

  /** The source record the cells point at: inputs are numbered as the task numbers them. */
  #suspect(fn: HostedFunction, task: PlannedTask, last: Glimpse): Suspect | undefined {
    if (last.input < 0) return undefined;
    const subtopology = fn.manifest.topology.subtopologies.find(({ id }) => id === task.subtopology);
    let input = 0;
    for (const source of subtopology?.sources ?? []) {
      const count = source.global ? (this.#o.partitions.get(source.topic) ?? 1) : 1;
      if (last.input < input + count)
        return { topic: source.topic, partition: source.global ? last.input - input : task.partition, offset: last.offset };
      input += count;
    }
    return undefined;
  }
}

function taskName(task: PlannedTask): string {
  return `${task.function}/${taskId(task)}`;
}
