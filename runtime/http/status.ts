import type { ErrorCode, KeyfoldError } from "../errors.ts";

/** HTTP status and title of every error code; docs/errors.md has one section for each. */
export const STATUS: Readonly<Record<ErrorCode, readonly [status: number, title: string]>> = {
  "config-invalid": [500, "The configuration is not valid"],
  "build-failed": [422, "The function does not build"],
  "forbidden-import": [422, "The function imports what functions may not"],
  "function-invalid": [422, "The function's definition is not valid"],
  "topology-invalid": [422, "The function's topology is not valid"],
  "topic-mismatch": [409, "The topic exists with other settings"],
  "topic-unknown": [404, "No such topic"],
  "function-unknown": [404, "No such function"],
  "partition-unknown": [404, "No such partition"],
  "offset-out-of-range": [416, "The offset is not in the log"],
  fenced: [503, "Another owner has taken over"],
  "log-closed": [503, "The log is closed"],
  "log-corrupt": [500, "The log is damaged"],
  "log-unavailable": [503, "The log does not answer"],
  "disk-full": [507, "The disk is full"],
  "format-newer": [500, "Written by a newer version"],
  "store-locked": [503, "Another process holds the store"],
  "store-corrupt": [500, "The store is damaged"],
  "store-closed": [503, "The store is closed"],
  "store-unknown": [404, "No such store"],
  "store-type": [400, "The store is of another type"],
  "record-undecodable": [422, "The record cannot be decoded"],
  "reducer-threw": [422, "The function failed on this event"],
  "reducer-timeout": [422, "The function hung on this event"],
  "state-unstorable": [422, "The new state cannot be stored"],
  "state-too-large": [422, "The new state is too large"],
  "state-unreadable": [500, "The stored state cannot be read"],
  "task-failed": [503, "The task has failed"],
  "not-ready": [503, "Not ready"],
  timeout: [504, "Not done in time"],
  "host-unreachable": [502, "The host does not answer"],
  "bad-request": [400, "The request is not valid"],
  "body-too-large": [413, "The body is too large"],
  "not-found": [404, "Not found"],
  "method-not-allowed": [405, "The method is not allowed here"],
  "media-type-unsupported": [415, "The media type is not supported"],
  "limit-exceeded": [413, "A limit is exceeded"],
  unauthorized: [401, "Not authorized"],
  "port-in-use": [500, "The port is in use"],
  internal: [500, "Internal error"],
};

/** A limit that frees up by itself (open streams) asks to come back; all others ask for a smaller request. */
export function statusOf(error: KeyfoldError): number {
  if (error.code === "limit-exceeded" && error.remedy === "retry") return 503;
  return STATUS[error.code][0];
}
