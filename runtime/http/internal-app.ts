import type { Hono } from "hono";
import type { HostApi } from "../host/api.ts";
import { guardLoopback } from "./loopback.ts";
import { ignore, type ReportInternal } from "./problem.ts";
import { parseQuery } from "./query.ts";
import { jsonResponse } from "./responses.ts";
import { type Handler, type RouteStatsOf, RouteTable } from "./route-table.ts";
import { errorsHandler, healthHandler, readyHandler } from "./routes/status.ts";
import { tailHandler } from "./routes/tail.ts";
import type { HttpApp } from "./server.ts";
import type { StreamWriter } from "./stream-writer.ts";
import { type Bindings, queryOf } from "./target.ts";

export interface InternalAppOptions {
  /** Told of errors that are our fault, which clients see as a reference only. Default: nobody. */
  readonly report?: ReportInternal;
  readonly stats?: RouteStatsOf;
}

export interface InternalApp extends HttpApp {
  readonly hono: Hono<{ Bindings: Bindings }>;
}

/** The internal listener: what runs where, metrics, and records for `tail`. Trusts whoever reaches it, so it listens on loopback. */
export function createInternalApp(host: HostApi, options: InternalAppOptions = {}): InternalApp {
  const routes = new RouteTable("internal", options.stats, options.report ?? ignore);
  const streams = new Set<StreamWriter>();
  routes.add(
    "GET",
    "/v1/tasks",
    listed("tasks", () => host.tasks()),
  );
  routes.add(
    "GET",
    "/v1/topics",
    listed("topics", () => host.topics()),
  );
  routes.add(
    "GET",
    "/v1/hosts",
    listed("hosts", () => host.hosts()),
  );
  routes.add("GET", "/v1/topics/:topic/records", tailHandler(host, streams));
  routes.add("GET", "/metrics", async (c) => {
    parseQuery(queryOf(c), []);
    return new Response(await host.metrics(), { headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" } });
  });
  routes.add("GET", "/healthz", healthHandler(host));
  routes.add("GET", "/readyz", readyHandler(host));
  routes.add("GET", "/errors", errorsHandler());
  return {
    hono: routes.app,
    fetch: guardLoopback(routes.app.fetch),
    longestWaitMs: host.config.limits["wait.max.ms"],
    endStreams: () => {
      for (const stream of [...streams]) stream.end();
    },
  };
}

function listed(name: string, items: () => unknown[] | Promise<unknown[]>): Handler {
  return async (c) => {
    parseQuery(queryOf(c), []);
    return jsonResponse(JSON.stringify({ [name]: await items() }));
  };
}
