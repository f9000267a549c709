import type { Limits } from "../config/resolved.ts";
import type { HostApi } from "../host/api.ts";
import { checkJson } from "./json-text.ts";
import { oneOf, parseQuery } from "./query.ts";
import { checkRecordSize } from "./records.ts";
import { functionIn, keyIn } from "./target.ts";

/** An invoke as its path and query say it; `fn` and `key` are decoded. */
export interface InvokeTarget {
  readonly fn: string;
  readonly key: string;
  readonly wait: "processed" | "committed";
}

export function parseInvoke(path: string, query: string, limits: Limits): InvokeTarget {
  return { fn: functionIn(path), key: keyIn(path, limits["key.max.bytes"]), wait: parseWait(query) };
}

function parseWait(query: string): "processed" | "committed" {
  if (query === "" || query === "wait=committed") return "committed";
  if (query === "wait=processed") return "processed";
  return oneOf(parseQuery(query, ["wait"]), "wait", ["processed", "committed"]) ?? "committed";
}

/** Checks the event and hands its bytes on as they are; resolves to the JSON text of the answer. */
export function invoke(host: HostApi, target: InvokeTarget, event: Buffer): Promise<string> {
  checkRecordSize(event.length, host.config.limits);
  checkJson(event, "the event");
  return host.invoke(target.fn, target.key, event, target.wait);
}
