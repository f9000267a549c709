import { KeyfoldError } from "../../errors.ts";
import type { HostApi, RouteResponse } from "../../host/api.ts";
import { readBody } from "../body.ts";
import type { Handler } from "../route-table.ts";
import { FUNCTIONS, functionIn, type HttpContext, targetOf } from "../target.ts";

/** Headers that speak of one connection, not of the message (RFC 9110, 7.6.1), and the length, which is worked out anew. */
const HOP_BY_HOP = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "proxy-authenticate",
  "proxy-authorization",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "content-length",
]);
const BODILESS = new Set([204, 205, 304]);

/** `ANY /v1/functions/{fn}/routes/*`: the function's own routes, run in a worker. */
export function functionRoutesHandler(host: HostApi): Handler {
  return async (c) => {
    const target = targetOf(c.req.raw, c.env);
    const fn = functionIn(target);
    const below = target.slice(target.indexOf("/routes", FUNCTIONS.length) + "/routes".length);
    const { method } = c.req;
    const body = method === "GET" || method === "HEAD" ? null : await readBody(c, host.config.limits["body.max.bytes"]);
    const path = below.startsWith("/") ? below : `/${below}`;
    return toResponse(await host.route(fn, { method, path, headers: headersOf(c), body: body?.length === 0 ? null : body }), fn);
  };
}

function headersOf(c: HttpContext): [string, string][] {
  const headers: [string, string][] = [];
  c.req.raw.headers.forEach((value, name) => {
    if (!HOP_BY_HOP.has(name)) headers.push([name, value]);
  });
  return headers;
}

function toResponse(answer: RouteResponse, fn: string): Response {
  if (!Number.isInteger(answer.status) || answer.status < 200 || answer.status > 599) {
    throw new KeyfoldError("function-invalid", `a route of function ${fn} answered with status ${answer.status}; statuses are 200 to 599`);
  }
  const headers = new Headers();
  for (const [name, value] of answer.headers) if (!HOP_BY_HOP.has(name.toLowerCase())) headers.append(name, value);
  const body = BODILESS.has(answer.status) || answer.body === null ? null : new Uint8Array(answer.body);
  return new Response(body, { status: answer.status, headers });
}
