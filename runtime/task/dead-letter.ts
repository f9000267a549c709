import { KeyfoldError } from "../errors.ts";
import type { Headers } from "../log/record-batch.ts";
import type { RecordContext } from "../topology/topology.ts";
import type { Collector } from "./collector.ts";
import type { RecordFailure } from "./failure.ts";
import type { TaskOptions } from "./task-options.ts";

const MAX_MESSAGE = 8_192;
const MAX_STACK = 8_192;
/** A state may be as large as Kafka takes a record at all: a letter must not stop the function that sends it. */
const MAX_STATE = 65_536;

/**
 * Headers of a dead letter: Kafka Streams' names (KIP-1034), then ours. The record's own headers stay in front; key and
 * value stay as they were, so that a replay is a plain copy back to `__streams.errors.topic`.
 */
function deadLetterHeaders(
  record: RecordContext,
  failure: RecordFailure,
  facts: { readonly function: string; readonly version: string; readonly task: string; readonly stateBefore: unknown },
): Headers {
  const text = (value: string): Uint8Array => Buffer.from(value, "utf8");
  return [
    ...(record.headers ?? []),
    ["__streams.errors.exception", text(failure.name)],
    ["__streams.errors.message", text(failure.message.slice(0, MAX_MESSAGE))],
    ["__streams.errors.stacktrace", text(failure.trace.slice(0, MAX_STACK))],
    ["__streams.errors.topic", text(record.topic)],
    ["__streams.errors.partition", text(String(record.partition))],
    ["__streams.errors.offset", text(String(record.offset))],
    ["keyfold.errors.code", text(failure.code)],
    ["keyfold.errors.function", text(facts.function)],
    ["keyfold.errors.version", text(facts.version)],
    ["keyfold.errors.task", text(facts.task)],
    ["keyfold.errors.state-before", text(asJson(facts.stateBefore).slice(0, MAX_STATE))],
  ];
}

export interface DeadLetter {
  readonly key: string | null;
  readonly value: Uint8Array | null;
  readonly failure: RecordFailure;
  readonly record: RecordContext;
  readonly task: string;
  readonly options: Pick<TaskOptions, "deadLetterTopic" | "function" | "version" | "invokeStore" | "stores" | "logger">;
  readonly collector: Collector;
}

/** Sends a record that was given up to the dead-letter topic, with everything there is to know about it. */
export function emitDeadLetter({ key, value, failure, record, task, options, collector }: DeadLetter): void {
  const { deadLetterTopic, function: name, version, logger } = options;
  const stateBefore = stateOf(key, options);
  collector.emitBytes(
    deadLetterTopic,
    key,
    value,
    record.timestamp,
    deadLetterHeaders(record, failure, { function: name, version, task, stateBefore }),
  );
  const { topic, partition, offset } = record;
  logger.warn("record dead-lettered", { code: failure.code, error: failure.message, topic, partition, offset, key, to: deadLetterTopic });
}

function stateOf(key: string | null, { invokeStore, stores }: DeadLetter["options"]): unknown {
  const store = invokeStore === undefined ? undefined : stores.get(invokeStore);
  try {
    return store === undefined || key === null ? undefined : store.get(key)?.value;
  } catch (thrown) {
    // Often the very reason why the record failed: a state that an older version of the code cannot read.
    return `unreadable: ${thrown instanceof Error ? thrown.message : String(thrown)}`;
  }
}

/** What stops a function whose policy is `fail`. */
export function fatalFailure(failure: RecordFailure, { topic, partition, offset }: RecordContext, fn: string, task: string): KeyfoldError {
  return new KeyfoldError(
    "task-failed",
    `function ${fn}, task ${task}: ${failure.name}: ${failure.message} at ${topic}[${partition}] offset ${offset}; stopped because onError is "fail"`,
    { cause: failure.cause, details: { topic, partition, offset, code: failure.code, stack: failure.trace } },
  );
}

/** What a schedule throws belongs to no record that could be left out: it stops the function. */
export function scheduleFailure(cause: unknown, type: string, fn: string, task: string): KeyfoldError {
  return new KeyfoldError("task-failed", `function ${fn}, task ${task}: a ${type} schedule threw: ${String(cause)}`, { cause });
}

/** JSON for people: what JSON lacks becomes text, nothing throws. */
export function asJson(value: unknown): string {
  if (value === undefined) return "null";
  try {
    return JSON.stringify(value, jsonReplacer) ?? "null";
  } catch (error) {
    return JSON.stringify(`not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Map as object or entries, Set as array, bigint as text, bytes as base64, other typed arrays as arrays. */
export function jsonReplacer(_name: string, value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Map) return [...value.keys()].every((k) => typeof k === "string") ? Object.fromEntries(value) : [...value];
  if (value instanceof Set) return [...value];
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (ArrayBuffer.isView(value) && !(value instanceof DataView)) return Array.from(value as ArrayLike<unknown> & ArrayBufferView);
  if (
    typeof value === "object" &&
    value !== null &&
    "type" in value &&
    value.type === "Buffer" &&
    "data" in value &&
    Array.isArray(value.data)
  ) {
    return Buffer.from(value.data).toString("base64");
  }
  return value;
}
