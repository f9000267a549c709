import type { KeyfoldError } from "../errors.ts";
import type { TaskStore } from "../state/store.ts";
import type { RecordContext, Subtopology, TaskLogger } from "../topology/topology.ts";
import type { Cells } from "../worker/cells.ts";
import type { RecordFailure } from "./failure.ts";
import type { FailurePolicyOptions } from "./failure-policy.ts";
import type { TaskInput, Watch } from "./input.ts";

export interface TaskOptions extends FailurePolicyOptions {
  readonly function: string;
  /** Content hash of the code that runs. */
  readonly version: string;
  /** `<config name>-<function>`: consumer group and prefix of internal topics. */
  readonly application: string;
  readonly subtopology: Subtopology;
  readonly partition: number;
  readonly stores: ReadonlyMap<string, TaskStore>;
  /** Partition count of each topic known so far. */
  readonly partitions: ReadonlyMap<string, number>;
  readonly deadLetterTopic: string;
  readonly maxInFlightKeys: number;
  readonly maxTaskIdleMs: number;
  readonly atomic: boolean;
  readonly frozen: boolean;
  /** Size at which a batch of outputs ends and another begins. Default: the builder's. */
  readonly maxBatchBytes?: number;
  readonly logger: TaskLogger;
  /** Wall-clock schedules are aligned to this, epoch ms. Default: the moment at which they are made. */
  readonly scheduleStart?: number;
  /** Store whose entry answers an invoke. */
  readonly invokeStore?: string;
  /** Absent outside workers. */
  readonly cells?: TaskCells;
  /** Gets the state after a watched record, or its failure. */
  readonly onWatched?: (
    watch: Watch,
    input: TaskInput,
    record: RecordContext,
    key: string | null,
    store: TaskStore | undefined,
    failure: RecordFailure | undefined,
  ) => void;
}

/** Where a task shows the watchdog what it does. */
export interface TaskCells {
  readonly cells: Cells;
  /** The task's number there. */
  readonly index: number;
  /** One async call at a time in the whole worker, so that one that hangs is known. */
  readonly alone: () => boolean;
}

/** Does `work` under the eyes of the watchdog, if there is one. */
export function inUserCode<T>(watched: TaskCells | undefined, work: () => T): T {
  return watched === undefined ? work() : watched.cells.during(watched.index, work);
}

/** What stopped a task from going on by itself; the worker acts on it. */
export type Interrupt =
  | { readonly kind: "retry"; readonly at: number; readonly dirty: boolean }
  | { readonly kind: "rollback" }
  /** A store or its disk failed, which is no record's fault: the stores are opened again. */
  | { readonly kind: "broken"; readonly error: KeyfoldError }
  | { readonly kind: "failed"; readonly error: KeyfoldError };
