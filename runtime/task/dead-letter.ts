import type { Headers } from "../log/record-batch.ts";
import type { RecordContext } from "../topology/topology.ts";
import type { RecordFailure } from "./failure.ts";

const MAX_STACK = 8_192;

/**
 * Headers of a dead letter: Kafka Streams' names (KIP-1034), then ours. The record's own headers stay in front; key and
 * value stay as they were, so that a replay is a plain copy back to `__streams.errors.topic`.
 */
export function deadLetterHeaders(
  record: RecordContext,
  failure: RecordFailure,
  facts: { readonly function: string; readonly version: string; readonly task: string; readonly stateBefore: unknown },
): Headers {
  const text = (value: string): Uint8Array => Buffer.from(value, "utf8");
  return [
    ...(record.headers ?? []),
    ["__streams.errors.exception", text(failure.name)],
    ["__streams.errors.message", text(failure.message)],
    ["__streams.errors.stacktrace", text(failure.trace.slice(0, MAX_STACK))],
    ["__streams.errors.topic", text(record.topic)],
    ["__streams.errors.partition", text(String(record.partition))],
    ["__streams.errors.offset", text(String(record.offset))],
    ["keyfold.errors.code", text(failure.code)],
    ["keyfold.errors.function", text(facts.function)],
    ["keyfold.errors.version", text(facts.version)],
    ["keyfold.errors.task", text(facts.task)],
    ["keyfold.errors.state-before", text(asJson(facts.stateBefore))],
  ];
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

/** Map as object or entries, Set as array, bigint as text, bytes as base64. */
export function jsonReplacer(_name: string, value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Map) return [...value.keys()].every((k) => typeof k === "string") ? Object.fromEntries(value) : [...value];
  if (value instanceof Set) return [...value];
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (typeof value === "object" && value !== null && "type" in value && value.type === "Buffer" && "data" in value && Array.isArray(value.data)) {
    return Buffer.from(value.data).toString("base64");
  }
  return value;
}
