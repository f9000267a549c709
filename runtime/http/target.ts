import type { IncomingMessage, ServerResponse } from "node:http";
import type { Context } from "hono";
import { KeyfoldError } from "../errors.ts";

/** What the Node server hands in beside the request; absent under `app.request()`. */
export interface Bindings {
  readonly incoming?: IncomingMessage;
  readonly outgoing?: ServerResponse;
}

export type HttpContext = Context<{ Bindings: Bindings }>;

/** The start of every path below a function. */
export const FUNCTIONS = "/v1/functions/";

/**
 * The request target as it was sent. A `URL` would resolve dot segments (a key may be `..`) and costs microseconds, so paths are
 * taken apart undecoded and their parts are decoded once, strictly.
 */
export function targetOf(request: Request, env: Bindings | undefined): string {
  const target = env?.incoming?.url ?? request.url;
  if (target.charCodeAt(0) === 47) return target;
  const authority = target.indexOf("://");
  const path = authority === -1 ? -1 : target.indexOf("/", authority + 3);
  return path === -1 ? "/" : target.slice(path);
}

/** For Hono's `getPath`: the undecoded path. */
export function pathOf(request: Request, options?: { env?: Bindings }): string {
  const target = targetOf(request, options?.env);
  const query = target.indexOf("?");
  return query === -1 ? target : target.slice(0, query);
}

export function queryOf(c: HttpContext): string {
  const target = targetOf(c.req.raw, c.env);
  const query = target.indexOf("?");
  if (query === -1) return "";
  const fragment = target.indexOf("#", query);
  return fragment === -1 ? target.slice(query + 1) : target.slice(query + 1, fragment);
}

export function headerOf(c: HttpContext, name: string): string | undefined {
  const incoming = c.env?.incoming;
  if (incoming === undefined) return c.req.raw.headers.get(name) ?? undefined;
  const value = incoming.headers[name];
  return Array.isArray(value) ? value.join(", ") : value;
}

/** A path segment's text. */
export function decodeSegment(raw: string, what: string): string {
  if (!raw.includes("%")) return raw;
  try {
    return decodeURIComponent(raw);
  } catch {
    throw new KeyfoldError("bad-request", `the ${what} in the path is not percent-encoded UTF-8: ${JSON.stringify(raw.slice(0, 100))}`);
  }
}

/** The function's name in `/v1/functions/{fn}/...`. */
export function functionIn(path: string): string {
  const end = path.indexOf("/", FUNCTIONS.length);
  return decodeSegment(end === -1 ? path.slice(FUNCTIONS.length) : path.slice(FUNCTIONS.length, end), "function name");
}

/** The key in `/v1/functions/{fn}/keys/{key}`, or `/v1/functions/{fn}/keys/{key}/live`. */
export function keyIn(path: string, maxBytes: number): string {
  const start = path.indexOf("/keys/", FUNCTIONS.length) + 6;
  const end = path.indexOf("/", start);
  return checkKey(decodeSegment(end === -1 ? path.slice(start) : path.slice(start, end), "key"), maxBytes);
}

/** The topic's name in `/v1/topics/{topic}/records`. */
export function topicIn(path: string): string {
  const start = "/v1/topics/".length;
  return decodeSegment(path.slice(start, path.indexOf("/", start)), "topic name");
}

/** Keys are text of 1 to `key.max.bytes` bytes: an empty one is nearly always an identifier somebody forgot to fill in. */
export function checkKey(key: string, maxBytes: number, where = ""): string {
  if (key.length === 0) throw new KeyfoldError("bad-request", `${where}the key is empty; a record without a key has \`null\``);
  // A character is at most three bytes of UTF-8 for each UTF-16 unit.
  if (key.length * 3 > maxBytes) {
    const bytes = Buffer.byteLength(key);
    if (bytes > maxBytes) {
      throw new KeyfoldError(
        "bad-request",
        `${where}the key has ${bytes} bytes, the limit is ${maxBytes} (setting limits["key.max.bytes"])`,
        {
          details: { setting: "key.max.bytes", limit: maxBytes, value: bytes },
        },
      );
    }
  }
  if (/\p{Surrogate}/u.test(key))
    throw new KeyfoldError("bad-request", `${where}the key has half a surrogate pair, which UTF-8 cannot carry`);
  return key;
}
