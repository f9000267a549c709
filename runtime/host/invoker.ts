import { type ErrorWire, KeyfoldError } from "../errors.ts";
import { partitionOf } from "../log/partitioner.ts";
import { INVOKE_HEADER, invokeHeader } from "../worker/invoke-header.ts";
import type { Position } from "./api.ts";
import type { Appender } from "./appender.ts";

interface Waiting {
  readonly resolve: (json: string) => void;
  readonly reject: (error: KeyfoldError) => void;
  readonly deadline: number;
  readonly call: Invocation;
  /** Undefined until the log has told it. */
  position: Position | undefined;
}

export interface Invocation {
  readonly function: string;
  readonly topic: string;
  readonly partitions: number;
  readonly key: string;
  readonly event: Uint8Array;
  readonly wait: "processed" | "committed";
}

/** Offsets of one partition that somebody waits for, to be told to the worker that owns it. */
export interface WatchOrder {
  readonly function: string;
  readonly topic: string;
  readonly partition: number;
  readonly wait: "processed" | "committed";
  readonly offsets: number[];
  readonly ids: number[];
}

/**
 * Invoke: append one event, wait for the state after it. What is waited for is told to the worker in the very turn in which
 * the offsets become known, before the worker's fetch is answered, so the state is caught as it passes.
 *
 * Where a worker may read an event before we hear of its offset (`token` is given: Kafka), the event says in a header who waits for it.
 */
export class Invoker {
  readonly #appender: Appender;
  readonly #send: (order: WatchOrder) => void;
  readonly #maxWaitMs: number;
  readonly #token: string | undefined;
  readonly #waiting = new Map<number, Waiting>();
  readonly #sweep: NodeJS.Timeout;
  #orders = new Map<string, WatchOrder>();
  #next = 1;

  constructor(appender: Appender, maxWaitMs: number, send: (order: WatchOrder) => void, token?: string) {
    this.#appender = appender;
    this.#maxWaitMs = maxWaitMs;
    this.#send = send;
    this.#token = token;
    this.#sweep = setInterval(() => this.#expire(), 1_000);
    this.#sweep.unref();
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  invoke(call: Invocation): Promise<string> {
    return new Promise((resolve, reject) => {
      if (this.#token !== undefined) {
        this.#invokeByHeader(this.#token, call, resolve, reject);
        return;
      }
      this.#appender.append(
        call.topic,
        call.partitions,
        { key: call.key, value: call.event },
        (position) => this.#watch(call, position, resolve, reject),
        (error) => {
          this.#appender.answered(1);
          reject(error);
        },
        true,
      );
    });
  }

  /** What a worker says of watched records. */
  answered(ids: readonly number[], bodies: readonly (string | ErrorWire)[]): void {
    let answered = 0;
    for (let i = 0; i < ids.length; i++) {
      const id = ids[i] ?? 0;
      const waiting = this.#waiting.get(id);
      if (waiting === undefined) continue;
      this.#waiting.delete(id);
      answered++;
      const body = bodies[i];
      if (typeof body === "string") waiting.resolve(body);
      else
        waiting.reject(body === undefined ? new KeyfoldError("internal", "a worker answered without a body") : KeyfoldError.fromWire(body));
    }
    this.#appender.answered(answered);
  }

  /** A function has stopped, or (`which`) partitions of it have moved to another host: nobody will answer. */
  fail(fn: string, error: KeyfoldError, which: (partition: number) => boolean = () => true): void {
    const wire = error.toWire();
    const ids = [...this.#waiting].flatMap(([id, { call, position }]) =>
      call.function === fn && which(position?.partition ?? partitionOf(call.key, call.partitions)) ? [id] : [],
    );
    this.answered(
      ids,
      ids.map(() => wire),
    );
  }

  close(): void {
    clearInterval(this.#sweep);
    for (const waiting of this.#waiting.values())
      waiting.reject(new KeyfoldError("not-ready", `the host stops; the event is at ${where(waiting)}`, { remedy: "retry" }));
    this.#waiting.clear();
  }

  #invokeByHeader(token: string, call: Invocation, resolve: (json: string) => void, reject: (error: KeyfoldError) => void): void {
    const id = this.#next++;
    const waiting: Waiting = { resolve, reject, deadline: performance.now() + this.#maxWaitMs, call, position: undefined };
    this.#waiting.set(id, waiting);
    const headers = { [INVOKE_HEADER]: invokeHeader(token, id, call.wait, call.function) };
    const failed = (error: KeyfoldError): void => this.answered([id], [error.toWire()]);
    this.#appender.append(
      call.topic,
      call.partitions,
      { key: call.key, value: call.event, headers },
      (position) => (waiting.position = position),
      failed,
      true,
    );
  }

  #watch(call: Invocation, position: Position, resolve: (json: string) => void, reject: (error: KeyfoldError) => void): void {
    const id = this.#next++;
    this.#waiting.set(id, { resolve, reject, deadline: performance.now() + this.#maxWaitMs, call, position });
    this.#order(id, call, position);
  }

  /** A task runs again, in another worker: what is still waited for is told to it anew. */
  rewatch(fn: string, partition: number): void {
    for (const [id, { call, position }] of this.#waiting)
      if (call.function === fn && position?.partition === partition) this.#order(id, call, position);
  }

  #order(id: number, call: Invocation, { partition, offset }: Position): void {
    const lane = `${call.function}/${call.wait}/${partition}`;
    let order = this.#orders.get(lane);
    if (order === undefined) {
      if (this.#orders.size === 0) queueMicrotask(() => this.#flush());
      order = { function: call.function, topic: call.topic, partition, wait: call.wait, offsets: [], ids: [] };
      this.#orders.set(lane, order);
    }
    order.offsets.push(offset);
    order.ids.push(id);
  }

  #flush(): void {
    const orders = this.#orders;
    this.#orders = new Map();
    for (const order of orders.values()) this.#send(order);
  }

  #expire(): void {
    const now = performance.now();
    for (const [id, waiting] of this.#waiting) {
      // In order of arrival: the first that may wait on ends the sweep.
      if (waiting.deadline > now) return;
      this.#waiting.delete(id);
      this.#appender.answered(1);
      waiting.reject(
        new KeyfoldError(
          "timeout",
          `no state after ${this.#maxWaitMs} ms (limits: wait.max.ms); the event was accepted at ${where(waiting)} and will be processed`,
          { remedy: "retry" },
        ),
      );
    }
  }
}

function where({ call, position }: Waiting): string {
  return position === undefined ? call.topic : `${call.topic}[${position.partition}] offset ${position.offset}`;
}
