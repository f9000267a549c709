import { letGo } from "../log/let-go.ts";
import type { RecordBatch } from "../log/record-batch.ts";
import type { SourceSpec } from "../topology/topology.ts";
import type { TaskOptions } from "./task-options.ts";

/** A decoded batch on its way through a task. */
export interface Loaded {
  readonly batch: RecordBatch;
  /** The batch's memory is the task's alone. */
  readonly owned: boolean;
  /** Of the rows before `prefetched`, from `firstKey` on: keys of a whole batch would outlive their youth in the heap. */
  keys: readonly (string | null)[];
  firstKey: number;
  /** Position after the batch, holes included. */
  readonly next: number;
  index: number;
  /** Rows before this have had their states read ahead. */
  prefetched: number;
  /** The row whose extracted event time `time` is. */
  timedIndex: number;
  time: number;
}

/** Someone waits for the state right after the record at an offset. */
export interface Watch {
  readonly id: number;
  readonly wait: "processed" | "committed";
}

/** One source partition of a task: where it is, and what is loaded but not yet processed. */
export class TaskInput {
  readonly index: number;
  readonly source: SourceSpec;
  readonly partition: number;
  /** Next offset to process. */
  position = 0;
  /** Position of the last commit. */
  committed = 0;
  /** Next offset to fetch. */
  fetchPosition = 0;
  /** Log end offset, as last seen. */
  end = 0;
  /** Wall-clock ms since when it has had nothing, for `max.task.idle.ms`. */
  idleSince = 0;
  readonly queue: Loaded[] = [];
  readonly watches = new Map<number, Watch>();

  constructor(index: number, source: SourceSpec, partition: number) {
    this.index = index;
    this.source = source;
    this.partition = partition;
  }

  get topic(): string {
    return this.source.topic;
  }

  get lag(): number {
    return Math.max(0, this.end - this.position);
  }

  load(batch: RecordBatch, next: number, owned = false): Loaded {
    const loaded = { batch, owned, keys: [], firstKey: 0, next, index: 0, prefetched: 0, timedIndex: -1, time: 0 };
    this.queue.push(loaded);
    this.fetchPosition = next;
    return loaded;
  }

  /** The first batch is done with. `forgotten`: nobody will look into it any more. */
  shift(forgotten: boolean): void {
    const loaded = this.queue.shift();
    if (loaded === undefined || !loaded.owned || !forgotten) return;
    const { batch } = loaded;
    letGo(new Uint8Array(batch.offsets.buffer));
    // Headers are views of the batch, and what somebody else's codec makes of the bytes is unknown.
    if (batch.headers === undefined && this.source.codec.decodeRange !== undefined) letGo(batch.buffer);
  }

  seek(position: number): void {
    this.queue.length = 0;
    this.position = position;
    this.fetchPosition = position;
  }
}

/** A task's inputs in the order of its sources; a global source is read in all its partitions. */
export function createInputs({
  subtopology,
  partitions,
  partition,
}: Pick<TaskOptions, "subtopology" | "partitions" | "partition">): TaskInput[] {
  const inputs: TaskInput[] = [];
  for (const source of subtopology.sources) {
    const count = source.global ? (partitions.get(source.topic) ?? 1) : 1;
    for (let p = 0; p < count; p++) inputs.push(new TaskInput(inputs.length, source, source.global ? p : partition));
  }
  return inputs;
}

/** A record's place in words: `topic/partition/offset`. */
export function place(input: TaskInput, offset: number): string {
  return `${input.topic}/${input.partition}/${offset}`;
}
