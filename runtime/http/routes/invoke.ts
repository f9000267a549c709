import type { HostApi } from "../../host/api.ts";
import type { RouteStats } from "../../observe/route-stats.ts";
import { readBody } from "../body.ts";
import type { DirectRoute } from "../direct-connection.ts";
import { invoke, parseInvoke } from "../invoke.ts";
import { bodyKind } from "../media.ts";
import { problemOf, type ReportInternal } from "../problem.ts";
import { jsonResponse } from "../responses.ts";
import type { Handler } from "../route-table.ts";
import { headerOf, pathOf, queryOf } from "../target.ts";

/** `POST /v1/functions/{fn}/keys/{key}?wait=processed|committed` */
export function invokeHandler(host: HostApi): Handler {
  const { limits } = host.config;
  return async (c) => {
    const target = parseInvoke(pathOf(c.req.raw, c), queryOf(c), limits);
    bodyKind(headerOf(c, "content-type"), headerOf(c, "content-encoding"), false);
    return jsonResponse(await invoke(host, target, await readBody(c, limits["body.max.bytes"])));
  };
}

/** The same, for requests that come by the direct way: same checks, same counters, same answers. */
export function directInvoke(host: HostApi, stats: RouteStats, report: ReportInternal): DirectRoute {
  const { limits } = host.config;
  return {
    maxBodyBytes: limits["body.max.bytes"],
    answer: async ({ path, query, contentType }, body) => {
      const begun = performance.now();
      try {
        const target = parseInvoke(path, query, limits);
        bodyKind(contentType, undefined, false);
        const text = await invoke(host, target, body);
        stats.observe(200, performance.now() - begun);
        return text;
      } catch (thrown) {
        const problem = problemOf(thrown, path, report);
        stats.observe(problem.status, performance.now() - begun);
        return problem;
      }
    },
  };
}
