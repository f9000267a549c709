import type { StreamProcessor, StreamRecord } from "../define/process.ts";
import type { VersionedStore } from "../state/windowed/versioned-store.ts";
import type { TaskProcessContext } from "./process-context.ts";
import type { Flushing, StreamTarget } from "./targets.ts";

/** Runs a processor of the author's. */
export class ProcessRecords implements StreamTarget, Flushing {
  readonly #processor: StreamProcessor;
  readonly #ctx: TaskProcessContext;
  readonly #versioned: readonly VersionedStore[];

  constructor(processor: StreamProcessor, ctx: TaskProcessContext, versioned: readonly VersionedStore[]) {
    this.#processor = processor;
    this.#ctx = ctx;
    this.#versioned = versioned;
    processor.init?.(ctx);
  }

  process(key: string | null, value: unknown, timestamp: number): void {
    this.#ctx.key = key;
    this.#ctx.timestamp = timestamp;
    const record: StreamRecord = { key, value, timestamp };
    this.#processor.process(record as StreamRecord<never>, this.#ctx);
  }

  beforeFlush(): void {
    for (const store of this.#versioned) store.beforeFlush();
  }
}
