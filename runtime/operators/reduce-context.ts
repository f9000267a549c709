import { json } from "../define/codecs.ts";
import type { EmitOptions, ReducerContext, TableView } from "../define/context.ts";
import type { Headers } from "../log/record-batch.ts";
import type { Cancellable, Codec, PunctuationType, TaskContext, TaskLogger } from "../topology/topology.ts";

/** How a reducer's emits are encoded: the codec of a topic it named, JSON otherwise. */
export interface EmitCodecs {
  codec(topic: string): Codec;
}

/**
 * The `ctx` of a reducer, over the task's record context: one object a task for synchronous reducers (never kept past
 * the call), one a call for async ones, which keep their own copy of the record's coordinates and their own emits.
 */
export class RecordReduceContext implements ReducerContext {
  key = "";
  topic = "";
  partition = 0;
  offset = 0;
  timestamp = 0;
  headers: Headers | null = null;
  readonly #context: TaskContext;
  readonly #codecs: EmitCodecs;
  /** Draws made for this record; the n-th is the same again on a replay. */
  #draws = 0;
  /** Async: emits wait until the reducer has succeeded. */
  #held: (() => void)[] | undefined;

  constructor(context: TaskContext, codecs: EmitCodecs, hold = false) {
    this.#context = context;
    this.#codecs = codecs;
    if (hold) this.#held = [];
  }

  /** Points it at the record under way. */
  at(key: string, timestamp: number): this {
    const { record } = this.#context;
    this.key = key;
    this.topic = record.topic;
    this.partition = record.partition;
    this.offset = record.offset;
    this.timestamp = timestamp;
    this.headers = record.headers;
    this.#draws = 0;
    return this;
  }

  get streamTime(): number {
    return this.#context.streamTime;
  }

  get log(): TaskLogger {
    return this.#context.log;
  }

  get signal(): AbortSignal {
    return this.#context.signal;
  }

  emit(topic: string, value: unknown, options: EmitOptions = {}): void {
    const key = options.key === undefined ? this.key : options.key;
    const timestamp = options.timestamp ?? this.timestamp;
    const headers = options.headers ?? null;
    const send = (): void => this.#context.emit(topic, this.#codecs.codec(topic), key, value, timestamp, headers);
    if (this.#held === undefined) send();
    else this.#held.push(send);
  }

  /** Sends what an async reducer emitted, now that it succeeded. */
  release(): void {
    for (const send of this.#held?.splice(0) ?? []) send();
  }

  table<V>(name: string): TableView<V> {
    const store = this.#context.store<V>(name);
    return { get: (key) => store.get(key)?.value };
  }

  schedule(interval: number, type: PunctuationType, fn: (now: number) => void): Cancellable {
    return this.#context.schedule(interval, type, fn);
  }

  /** The record's own time: the same again on a replay. */
  now(): number {
    return this.timestamp;
  }

  /** A number in [0, 1) drawn from the record's coordinates: the same again on a replay. */
  random(): number {
    let h = 2_166_136_261;
    for (let i = 0; i < this.topic.length; i++) h = Math.imul(h ^ this.topic.charCodeAt(i), 16_777_619);
    h = mix(h ^ this.partition);
    h = mix(h ^ (this.offset | 0));
    h = mix(h ^ Math.floor(this.offset / 2 ** 32));
    return mix(h + Math.imul(++this.#draws, 0x9e3779b9)) / 2 ** 32;
  }
}

/** The finalizer of MurmurHash3: every bit of the input reaches every bit of the result. */
function mix(value: number): number {
  let h = value;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** JSON for every topic but those named. */
export function emitCodecs(named: ReadonlyMap<string, Codec>): EmitCodecs {
  return { codec: (topic) => named.get(topic) ?? json };
}
