import { KeyfoldError } from "../../errors.ts";
import type { HostApi } from "../../host/api.ts";
import { ignore, problemOf, problemResponse } from "../problem.ts";
import { parseQuery } from "../query.ts";
import { jsonResponse } from "../responses.ts";
import type { Handler } from "../route-table.ts";
import { STATUS } from "../status.ts";
import { checkKey, functionIn, pathOf, queryOf } from "../target.ts";

/** `GET /v1/functions` */
export function functionsHandler(host: HostApi): Handler {
  return async (c) => {
    parseQuery(queryOf(c), []);
    const functions = (await host.functions()).map(({ manifest, ...info }) => ({
      ...info,
      topics: [...new Set([...info.sources, ...info.sinks])],
      invoke: manifest.invoke !== undefined,
      routes: manifest.hasRoutes,
    }));
    return jsonResponse(JSON.stringify({ functions }));
  };
}

/** `GET /v1/functions/{fn}/metadata?key=` */
export function metadataHandler(host: HostApi): Handler {
  return (c) => {
    const key = parseQuery(queryOf(c), ["key"]).get("key");
    if (key === undefined) throw new KeyfoldError("bad-request", "query parameter `key` is missing: metadata is asked for one key");
    return jsonResponse(
      JSON.stringify(host.metadata(functionIn(pathOf(c.req.raw, c)), checkKey(key, host.config.limits["key.max.bytes"]))),
    );
  };
}

/** `GET /healthz`: 200, or 503 with what is wrong. */
export function healthHandler(host: HostApi): Handler {
  return (c) => stateOf(pathOf(c.req.raw, c), "healthy", host.unhealthy());
}

/** `GET /readyz`: 200 once every task runs and every worker answers, else 503 with those that do not. */
export function readyHandler(host: HostApi): Handler {
  return (c) => stateOf(pathOf(c.req.raw, c), "ready", host.notReady());
}

function stateOf(path: string, good: "healthy" | "ready", reasons: readonly string[]): Response {
  if (reasons.length === 0) return jsonResponse(`{"status":"${good}"}`);
  const error = new KeyfoldError("not-ready", `not ${good}: ${reasons.join("; ")}`, { remedy: "retry" });
  return problemResponse(problemOf(error, path, ignore, { reasons }));
}

/** `GET /errors`: what a problem's relative `type` leads to. */
export function errorsHandler(): Handler {
  const lines = Object.entries(STATUS).map(([code, [status, title]]) => `${code.padEnd(24)} ${status}  ${title}`);
  const page = `keyfold's error codes (docs/errors.md says what to do about each)\n\n${lines.join("\n")}\n`;
  return () => new Response(page, { headers: { "content-type": "text/plain; charset=utf-8" } });
}
