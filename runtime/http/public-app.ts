import type { Hono } from "hono";
import type { HostApi } from "../host/api.ts";
import { directRoutes } from "./direct-routes.ts";
import { LiveClients } from "./live-clients.ts";
import { ignore, type ReportInternal } from "./problem.ts";
import { type RouteStatsOf, RouteTable } from "./route-table.ts";
import { functionRoutesHandler } from "./routes/function-routes.ts";
import { invokeHandler } from "./routes/invoke.ts";
import { getHandler, listHandler } from "./routes/keys.ts";
import { liveFunctionHandler, liveKeyHandler } from "./routes/live.ts";
import { recordsHandler } from "./routes/records.ts";
import { errorsHandler, functionsHandler, healthHandler, metadataHandler, readyHandler } from "./routes/status.ts";
import type { HttpApp } from "./server.ts";
import type { Bindings } from "./target.ts";

export interface PublicAppOptions {
  /** Told of errors that are our fault, which clients see as a reference only. Default: nobody. */
  readonly report?: ReportInternal;
  /** Where requests are counted; absent: nowhere. */
  readonly stats?: RouteStatsOf;
  /** Time between heartbeats of live streams, ms. Default 15 000. */
  readonly heartbeatMs?: number;
}

export interface PublicApp extends HttpApp {
  readonly hono: Hono<{ Bindings: Bindings }>;
  readonly live: LiveClients;
}

/** The public listener: events in, queries out. Paths, methods and field names are the contract of docs/http.md. */
export function createPublicApp(host: HostApi, options: PublicAppOptions = {}): PublicApp {
  const live = new LiveClients({
    limit: host.config.limits["live.max.clients"],
    ...(options.heartbeatMs === undefined ? {} : { heartbeatMs: options.heartbeatMs }),
  });
  const report = options.report ?? ignore;
  const routes = new RouteTable("public", options.stats, report);
  const invokes = routes.add("POST", "/v1/functions/:fn/keys/:key", invokeHandler(host));
  const appends = routes.add("POST", "/v1/topics/:topic/records", recordsHandler(host));
  routes.add("GET", "/v1/functions/:fn/keys/:key", getHandler(host));
  routes.add("GET", "/v1/functions/:fn/keys", listHandler(host));
  routes.add("GET", "/v1/functions/:fn/keys/:key/live", liveKeyHandler(host, live));
  routes.add("GET", "/v1/functions/:fn/live", liveFunctionHandler(host, live));
  routes.add("GET", "/v1/functions/:fn/metadata", metadataHandler(host));
  routes.add("ALL", "/v1/functions/:fn/routes/*", functionRoutesHandler(host));
  routes.add("GET", "/v1/functions", functionsHandler(host));
  routes.add("GET", "/healthz", healthHandler(host));
  routes.add("GET", "/readyz", readyHandler(host));
  routes.add("GET", "/errors", errorsHandler());
  return {
    hono: routes.app,
    fetch: routes.app.fetch,
    direct: directRoutes(host, { invoke: invokes, append: appends }, report),
    live,
    longestWaitMs: host.config.limits["wait.max.ms"],
    endStreams: () => live.close(),
  };
}
