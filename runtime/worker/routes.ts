import type { StateEntry, StateView } from "../define/routes.ts";
import { KeyfoldError } from "../errors.ts";
import type { RouteRequest, RouteResponse } from "../host/api.ts";
import type { LoadedFunction, RoutesApp } from "./functions.ts";
import type { Query } from "./messages.ts";
import { unlessAborted } from "./unless-aborted.ts";

interface RouteLimits {
  /** Time to the end of the answer. */
  readonly maxWaitMs: number;
  /** Size of the answer's body. */
  readonly maxBodyBytes: number;
}

/** Runs a function's own Hono app on one request. */
export async function runRoute(
  fn: LoadedFunction,
  route: RouteRequest,
  read: (query: Query) => Promise<unknown>,
  { maxWaitMs, maxBodyBytes }: RouteLimits,
): Promise<RouteResponse> {
  if (fn.routes === undefined) throw new KeyfoldError("not-found", `function ${fn.name} exports no routes`);
  const state: StateView = {
    async get(key) {
      const text = (await read({ kind: "get", key, query: {} })) as string | undefined;
      return text === undefined ? undefined : (JSON.parse(text) as StateEntry<unknown>);
    },
    async list(options = {}) {
      const items = (await read({ kind: "list", query: { limit: 100, ...options } })) as string[];
      return items.map((item) => JSON.parse(item) as StateEntry<unknown>);
    },
  };
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), maxWaitMs);
  const request = new Request(`http://function${route.path.startsWith("/") ? "" : "/"}${route.path}`, {
    method: route.method,
    headers: route.headers.map(([name, value]): [string, string] => [name, value]),
    body: route.body === null || route.method === "GET" || route.method === "HEAD" ? null : new Uint8Array(route.body),
    signal: limit.signal,
  });
  const where = `${route.method} ${route.path.slice(0, 200)} of ${fn.name}`;
  const late = (): KeyfoldError =>
    new KeyfoldError("timeout", `the route ${where} had not answered after ${maxWaitMs} ms (limits: wait.max.ms)`, { remedy: "retry" });
  try {
    const response = await unlessAborted(answerOf(fn.routes, request, { state }, where), limit.signal, late);
    const body = response.body === null ? null : await collect(response.body, maxBodyBytes, limit.signal, where, late);
    return { status: response.status, headers: [...response.headers.entries()], body };
  } finally {
    clearTimeout(timer);
  }
}

async function answerOf(app: RoutesApp, request: Request, env: unknown, where: string): Promise<Response> {
  let answer: unknown;
  try {
    answer = await app.fetch(request, env);
  } catch (cause) {
    throw new KeyfoldError(
      "function-invalid",
      `the route ${where} threw ${cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause)}`,
      {
        cause,
      },
    );
  }
  // By its shape: a bundle may bring a class of its own.
  if (typeof (answer as Partial<Response> | null)?.headers?.entries === "function") return answer as Response;
  throw new KeyfoldError("function-invalid", `the route ${where} answered with what is no Response`);
}

/** The whole body: it crosses to the main thread in one message. */
async function collect(
  body: ReadableStream<Uint8Array>,
  maxBytes: number,
  signal: AbortSignal,
  where: string,
  late: () => KeyfoldError,
): Promise<Uint8Array> {
  const reader = body.getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for (;;) {
      const { done, value } = await unlessAborted(reader.read(), signal, late);
      if (done) return new Uint8Array(Buffer.concat(chunks, size));
      size += value.length;
      if (size > maxBytes) {
        throw new KeyfoldError(
          "function-invalid",
          `the route ${where} answered with more than ${maxBytes} bytes (setting limits["body.max.bytes"])`,
          { details: { setting: "body.max.bytes", limit: maxBytes } },
        );
      }
      chunks.push(value);
    }
  } catch (thrown) {
    reader.cancel(thrown).catch(() => {});
    throw KeyfoldError.from(thrown, "function-invalid", "user");
  }
}
