import type { Limits } from "../config/resolved.ts";
import { KeyfoldError } from "../errors.ts";
import type { HostApi, InputRecord } from "../host/api.ts";
import { JsonScanner, parseJson } from "./json-text.ts";
import { suggestion } from "./nearest.ts";
import { checkKey } from "./target.ts";

const MEMBERS = ["key", "value", "timestamp", "headers"];
/** The last instant a Date can hold, ms. */
const LAST_INSTANT = 8.64e15;
const TOPIC_NAME = /^[a-zA-Z0-9._-]{1,249}$/;

/** A topic's name by Kafka's rules; changelogs and repartition topics are the engine's alone to write. */
export function checkTopic(topic: string, host: HostApi): string {
  if (!TOPIC_NAME.test(topic) || topic === "." || topic === "..") {
    throw new KeyfoldError(
      "bad-request",
      `${JSON.stringify(topic.slice(0, 100))} is not a topic name; those have 1 to 249 of a-z A-Z 0-9 . _ -`,
    );
  }
  if (host.isInternal(topic))
    throw new KeyfoldError("bad-request", `${topic} is an internal topic: a record put there by hand would corrupt a function's state`);
  return topic;
}

/** One `{key, value, timestamp?, headers?}`, or an array of them. */
export function parseRecords(body: Buffer, limits: Limits): InputRecord[] {
  const parsed = parseJson(body, "the body");
  const scanner = new JsonScanner(body);
  if (!Array.isArray(parsed)) return [toRecord(parsed, scanner, body, limits, "")];
  const most = limits["batch.max.records"];
  if (parsed.length > most) {
    throw new KeyfoldError(
      "limit-exceeded",
      `the array has ${parsed.length} records, the limit is ${most} (setting limits["batch.max.records"]); send more than that as application/x-ndjson`,
      {
        details: { setting: "batch.max.records", limit: most, value: parsed.length },
      },
    );
  }
  const records: InputRecord[] = [];
  for (let i = 0; i < parsed.length; i++) {
    // Bounds must be looked up element by element: one that is no object is refused before the scanner sees it.
    scanner.next();
    records.push(toRecord(parsed[i], scanner, body, limits, `record ${i}: `));
  }
  return records;
}

/** One line of NDJSON. */
export function parseLine(line: Buffer, limits: Limits, where: string): InputRecord {
  return toRecord(parseJson(line, where), new JsonScanner(line), line, limits, `${where}: `);
}

function toRecord(parsed: unknown, scanner: JsonScanner, bytes: Buffer, limits: Limits, where: string): InputRecord {
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    throw new KeyfoldError(
      "bad-request",
      `${where}a record is an object {"key": ..., "value": ...}, this is ${Array.isArray(parsed) ? "an array" : JSON.stringify(parsed)?.slice(0, 60)}`,
    );
  }
  const record: { key?: unknown; value?: unknown; timestamp?: unknown; headers?: unknown } = parsed;
  for (const name in record) {
    if (!MEMBERS.includes(name))
      throw new KeyfoldError("bad-request", `${where}unknown member \`${name.slice(0, 64)}\`${suggestion(name, MEMBERS)}`);
  }
  const { key, timestamp } = record;
  if (key === undefined) throw new KeyfoldError("bad-request", `${where}\`key\` is missing; a record without a key has \`null\``);
  if (key !== null && typeof key !== "string")
    throw new KeyfoldError("bad-request", `${where}\`key\` is ${kindOf(key)}; keys are strings or null`);
  if (record.value === undefined) throw new KeyfoldError("bad-request", `${where}\`value\` is missing; a tombstone has \`null\``);
  if (typeof key === "string") checkKey(key, limits["key.max.bytes"], where);
  const { start, end } = scanner.member("value");
  const value = record.value === null ? null : bytes.subarray(start, end);
  if (value !== null) checkRecordSize(value.length, limits, where);
  if (
    timestamp !== undefined &&
    !(typeof timestamp === "number" && Number.isInteger(timestamp) && timestamp >= 0 && timestamp <= LAST_INSTANT)
  ) {
    throw new KeyfoldError(
      "bad-request",
      `${where}\`timestamp\` is ${JSON.stringify(timestamp).slice(0, 60)}; it is epoch milliseconds, a whole number from 0 on`,
    );
  }
  const headers = record.headers === undefined ? undefined : checkHeaders(record.headers, where);
  if (timestamp === undefined) return headers === undefined ? { key, value } : { key, value, headers };
  return headers === undefined ? { key, value, timestamp } : { key, value, timestamp, headers };
}

export function checkRecordSize(size: number, limits: Limits, where = ""): void {
  const limit = limits["record.max.bytes"];
  if (size <= limit) return;
  throw new KeyfoldError(
    "limit-exceeded",
    `${where}the value has ${size} bytes, the limit is ${limit} (setting limits["record.max.bytes"])`,
    {
      details: { setting: "record.max.bytes", limit, value: size },
    },
  );
}

function checkHeaders(headers: unknown, where: string): Readonly<Record<string, string>> {
  if (typeof headers !== "object" || headers === null || Array.isArray(headers)) {
    throw new KeyfoldError("bad-request", `${where}\`headers\` is ${kindOf(headers)}; it is an object of strings`);
  }
  const checked: Record<string, string> = Object.create(null) as Record<string, string>;
  for (const [name, value] of Object.entries(headers)) {
    if (typeof value !== "string")
      throw new KeyfoldError("bad-request", `${where}header \`${name.slice(0, 64)}\` is ${kindOf(value)}; headers are strings`);
    checked[name] = value;
  }
  return checked;
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}
