import { keyText } from "../log/record-batch.ts";
import type { SourceSpec } from "../topology/topology.ts";
import type { Loaded, TaskInput } from "./input.ts";
import { decodeValue, eventTime } from "./source-value.ts";

/** A task's source partitions, merged by timestamp: whose record is next (Kafka Streams' class of the same name). */
export class PartitionGroup {
  readonly inputs: readonly TaskInput[];
  readonly #maxIdleMs: number;
  readonly #wallClock: () => number;

  /** `maxIdleMs`: `max.task.idle.ms`; 0 waits only for what the log already has, -1 for nothing. */
  constructor(inputs: readonly TaskInput[], maxIdleMs: number, wallClock: () => number) {
    this.inputs = inputs;
    this.#maxIdleMs = maxIdleMs;
    this.#wallClock = wallClock;
  }

  /** The input with the smallest timestamp, once every input has records or may be gone ahead of; same timestamps: the first declared. */
  next(): TaskInput | undefined {
    const { inputs } = this;
    if (inputs.length === 1) return inputs[0]?.queue.length ? inputs[0] : undefined;
    let best: TaskInput | undefined;
    let bestTime = 0;
    for (const input of inputs) {
      const loaded = input.queue[0];
      if (loaded === undefined) {
        if (!this.#mayGoAheadOf(input)) return undefined;
        continue;
      }
      if (loaded.index >= loaded.batch.length || input.source.global) return input;
      const time = headTime(input.source, loaded);
      if (best === undefined || time < bestTime) {
        best = input;
        bestTime = time;
      }
    }
    return best;
  }

  #mayGoAheadOf(input: TaskInput): boolean {
    if (this.#maxIdleMs < 0) return true;
    if (input.fetchPosition < input.end) return false;
    return this.#maxIdleMs === 0 || input.source.global === true || this.#wallClock() - input.idleSince >= this.#maxIdleMs;
  }
}

/** Event time of the next record, by the source's extractor where it has one: what order goes by, as in Kafka Streams. */
function headTime(source: SourceSpec, loaded: Loaded): number {
  const { batch, index } = loaded;
  const timestamp = batch.timestamps[index] ?? 0;
  if (source.timestamp === undefined) return timestamp;
  if (loaded.timedIndex !== index) {
    loaded.timedIndex = index;
    try {
      const record = { topic: source.topic, partition: 0, offset: batch.offsets[index] ?? 0, timestamp, headers: null };
      loaded.time = eventTime(source, keyText(batch, index), decodeValue(source.codec, batch, index), record);
    } catch {
      // It fails again when its turn comes, and is dealt with there.
      loaded.time = timestamp;
    }
  }
  return loaded.time;
}
