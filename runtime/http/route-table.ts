import { Hono } from "hono";
import { KeyfoldError } from "../errors.ts";
import { RouteStats } from "../observe/route-stats.ts";
import { suggestion } from "./nearest.ts";
import { problemOf, problemResponse, type ReportInternal } from "./problem.ts";
import { type Bindings, type HttpContext, pathOf, targetOf } from "./target.ts";

export type Handler = (c: HttpContext) => Response | Promise<Response>;
export type Method = "GET" | "POST" | "ALL";
/** Where a route's numbers go. */
export type RouteStatsOf = (listener: string, method: string, route: string) => RouteStats;

/** A key with slashes in it that were not encoded. */
const SLASHES = /^\/v1\/functions\/[^/]+\/keys\/.*[^/].*\/./;

interface Known {
  readonly method: Method;
  readonly path: string;
  readonly pattern: RegExp;
}

/**
 * A Hono app whose routes are counted, whose errors are problem documents, and which knows what it has: HEAD and OPTIONS work
 * everywhere, a wrong method is told the right ones, a wrong path the nearest.
 */
export class RouteTable {
  readonly app: Hono<{ Bindings: Bindings }>;
  readonly #listener: string;
  readonly #statsOf: RouteStatsOf;
  readonly #report: ReportInternal;
  readonly #known: Known[] = [];

  constructor(listener: string, statsOf: RouteStatsOf | undefined, report: ReportInternal) {
    this.#listener = listener;
    this.#statsOf = statsOf ?? ((name, method, route) => new RouteStats(name, method, route));
    this.#report = report;
    this.app = new Hono<{ Bindings: Bindings }>({ getPath: pathOf });
    const unmatched = this.#statsOf(listener, "ANY", "(unmatched)");
    this.app.notFound((c) => this.#answer(unmatched, (context) => this.#unmatched(context), c));
    this.app.onError((error, c) => this.#problem(error, c));
  }

  /** The numbers of a route, for one that is served by two ways. */
  add(method: Method, path: string, handler: Handler): RouteStats {
    const stats = this.#statsOf(this.#listener, method === "ALL" ? "ANY" : method, path);
    const pattern = new RegExp(
      `^${path
        .replace(/[.]/g, "\\.")
        .replace(/\/\*$/, "(?:/.*)?")
        .replace(/:[a-z]+/g, "[^/]+")}$`,
    );
    this.#known.push({ method, path, pattern });
    const answer = (c: HttpContext): Promise<Response> => this.#answer(stats, handler, c);
    if (method === "ALL") this.app.all(path, answer);
    else this.app.on(method, path, answer);
    return stats;
  }

  async #answer(stats: RouteStats, handler: Handler, c: HttpContext): Promise<Response> {
    const begun = performance.now();
    let response: Response;
    try {
      response = await handler(c);
    } catch (thrown) {
      response = this.#problem(thrown, c);
    }
    stats.observe(response.status, performance.now() - begun);
    return response;
  }

  #problem(thrown: unknown, c: HttpContext): Response {
    return problemResponse(problemOf(thrown, pathOf(c.req.raw, { env: c.env }), this.#report));
  }

  #unmatched(c: HttpContext): Response {
    const path = pathOf(c.req.raw, { env: c.env });
    const { method } = c.req;
    const here = this.#known.filter(({ pattern }) => pattern.test(path));
    if (here.length === 0) {
      const paths = [...new Set(this.#known.map((known) => known.path.replace(/:([a-z]+)/g, "{$1}")))];
      throw new KeyfoldError(
        "not-found",
        `there is nothing at ${JSON.stringify(targetOf(c.req.raw, c.env).slice(0, 200))}${SLASHES.test(path) ? "; a `/` within a key is written %2F" : suggestion(path, paths)}`,
      );
    }
    const methods = new Set(here.flatMap((known) => (known.method === "GET" ? ["GET", "HEAD"] : [known.method])));
    const allow = [...methods, "OPTIONS"].join(", ");
    if (method === "OPTIONS") return new Response(null, { status: 204, headers: { allow } });
    throw new KeyfoldError("method-not-allowed", `${method} is not for this path; it takes ${allow}`, { details: { allow } });
  }
}
