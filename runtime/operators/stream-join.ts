import type { JoinFn, JoinHow } from "../define/graph.ts";
import type { JoinBuffer } from "../state/windowed/join-buffer.ts";
import type { Side, Unmatched } from "../state/windowed/unmatched.ts";
import type { TaskContext } from "../topology/topology.ts";
import { orNull } from "./stateless.ts";
import type { Flushing, StreamTarget } from "./targets.ts";

export interface StreamJoinOptions {
  readonly how: JoinHow;
  readonly fn: JoinFn;
  readonly beforeMs: number;
  readonly afterMs: number;
  readonly graceMs: number;
}

/**
 * Joins two streams within a window. Each record meets what the other side keeps; the result has the larger timestamp.
 * In left and outer joins a record that met nobody comes out with null once its window and grace have passed.
 */
export class StreamJoin implements Flushing {
  readonly left: StreamTarget;
  readonly right: StreamTarget;
  readonly #context: TaskContext;
  readonly #options: StreamJoinOptions;
  readonly #buffers: Readonly<Record<Side, JoinBuffer>>;
  readonly #unmatched: Unmatched | undefined;
  readonly #next: StreamTarget;

  constructor(
    context: TaskContext,
    options: StreamJoinOptions,
    buffers: Readonly<Record<Side, JoinBuffer>>,
    unmatched: Unmatched | undefined,
    next: StreamTarget,
  ) {
    this.#context = context;
    this.#options = options;
    this.#buffers = buffers;
    this.#unmatched = unmatched;
    this.#next = next;
    this.left = { process: (key, value, timestamp) => this.#process("left", "right", key, value, timestamp) };
    this.right = { process: (key, value, timestamp) => this.#process("right", "left", key, value, timestamp) };
  }

  beforeFlush(): void {
    this.#buffers.left.beforeFlush();
    this.#buffers.right.beforeFlush();
    this.#unmatched?.beforeFlush();
  }

  #process(side: Side, other: Side, key: string | null, value: unknown, timestamp: number): void {
    const { how, beforeMs, afterMs, graceMs } = this.#options;
    // Both sides share one stream time, kept with the left one.
    const streamTime = this.#buffers.left.marks.raise("streamTime", timestamp);
    const outer = how === "outer" || (how === "left" && side === "left");
    if (key === null || value === null) {
      if (outer && value !== null) this.#forward(side, null, value, null, timestamp);
      else this.#context.dropped(key === null ? "null-key" : "null-value");
      return;
    }
    const unmatched = this.#unmatched;
    if (unmatched !== undefined && timestamp === streamTime) {
      for (const one of unmatched.due(streamTime - afterMs - graceMs, streamTime - beforeMs - graceMs)) {
        this.#forward(one.side, one.key, one.value, null, one.time);
      }
    }
    const back = side === "left" ? beforeMs : afterMs;
    const ahead = side === "left" ? afterMs : beforeMs;
    let met = false;
    for (const [time, otherValue] of this.#buffers[other].fetch(key, timestamp - back, timestamp + ahead)) {
      met = true;
      unmatched?.matched(other, key, time);
      this.#forward(side, key, value, otherValue, Math.max(time, timestamp));
    }
    if (!met && outer) {
      if (timestamp + ahead < streamTime) this.#forward(side, key, value, null, timestamp);
      else unmatched?.put(side, key, timestamp, value);
    }
    this.#buffers[side].put(key, timestamp, value);
  }

  #forward(side: Side, key: string | null, value: unknown, other: unknown, timestamp: number): void {
    const result = side === "left" ? this.#options.fn(value, other, key) : this.#options.fn(other, value, key);
    this.#next.process(key, orNull(result), timestamp);
  }
}
