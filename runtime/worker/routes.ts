import type { StateEntry, StateView } from "../define/routes.ts";
import { KeyfoldError } from "../errors.ts";
import type { RouteRequest, RouteResponse } from "../host/api.ts";
import type { LoadedFunction } from "./functions.ts";
import type { Query } from "./messages.ts";

/** Runs a function's own Hono app on one request. */
export async function runRoute(fn: LoadedFunction, route: RouteRequest, read: (query: Query) => Promise<unknown>): Promise<RouteResponse> {
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
  const request = new Request(`http://function${route.path.startsWith("/") ? "" : "/"}${route.path}`, {
    method: route.method,
    headers: route.headers.map(([name, value]): [string, string] => [name, value]),
    body: route.body === null || route.method === "GET" || route.method === "HEAD" ? null : new Uint8Array(route.body),
  });
  const response = await fn.routes.fetch(request, { state });
  return {
    status: response.status,
    headers: [...response.headers.entries()],
    body: response.body === null ? null : new Uint8Array(await response.arrayBuffer()),
  };
}
