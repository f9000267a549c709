import { keyText, type RecordBatch, valueBytes } from "../log/record-batch.ts";
import { VALUE_FORMAT, ValueCodec } from "../state/codec.ts";
import { stateJson } from "../task/json.ts";
import type { TailRecord } from "./api.ts";

/** One record for people: values of our envelope and JSON are decoded, other bytes come as base64. */
export function tailRecord(topic: string, partition: number, batch: RecordBatch, i: number): TailRecord {
  const headers = batch.headers?.[i];
  const bytes = valueBytes(batch, i);
  return {
    topic,
    partition,
    offset: batch.offsets[i] ?? 0,
    timestamp: batch.timestamps[i] ?? 0,
    key: keyText(batch, i),
    value: bytes === null ? null : decoded(bytes),
    ...(headers
      ? { headers: Object.fromEntries(headers.map(([name, value]) => [name, value === null ? "" : Buffer.from(value).toString("utf8")])) }
      : {}),
  };
}

function decoded(bytes: Buffer): unknown {
  try {
    if (bytes[0] === VALUE_FORMAT) {
      // Whatever schema version it was written with is the one to show.
      const codec = new ValueCodec({ name: "tail", schemaVersion: bytes[1] ?? 1 }, { task: "tail", maxBytes: bytes.length });
      return JSON.parse(stateJson(codec.decode("", bytes).value));
    }
    return JSON.parse(bytes.toString("utf8"));
  } catch {
    return { base64: bytes.toString("base64") };
  }
}
