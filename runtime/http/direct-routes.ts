import type { HostApi } from "../host/api.ts";
import type { RouteStats } from "../observe/route-stats.ts";
import type { DirectRoute } from "./direct-connection.ts";
import type { DirectHead } from "./direct-head.ts";
import { invoke, parseInvoke } from "./invoke.ts";
import { bodyKind } from "./media.ts";
import { problemOf, type ReportInternal } from "./problem.ts";
import { appendBody } from "./routes/records.ts";
import { FUNCTIONS } from "./target.ts";

/** Invokes and appends for the direct way: the same checks, counters and answers as the routes' own. */
export function directRoutes(
  host: HostApi,
  stats: { readonly invoke: RouteStats; readonly append: RouteStats },
  report: ReportInternal,
): DirectRoute {
  const { limits } = host.config;
  const invoked = ({ path, query, contentType }: DirectHead, body: Buffer): Promise<string> => {
    const target = parseInvoke(path, query, limits);
    bodyKind(contentType, undefined, false);
    return invoke(host, target, body);
  };
  return {
    maxBodyBytes: limits["body.max.bytes"],
    answer: async (head, body) => {
      const begun = performance.now();
      const isInvoke = head.path.startsWith(FUNCTIONS);
      const counted = isInvoke ? stats.invoke : stats.append;
      try {
        const text = await (isInvoke
          ? invoked(head, body)
          : appendBody(
              host,
              head.path,
              head.query,
              head.contentType,
              undefined,
              () => Promise.resolve(body),
              () => [body],
            ));
        counted.observe(200, performance.now() - begun);
        return text;
      } catch (thrown) {
        const problem = problemOf(thrown, head.path, report);
        counted.observe(problem.status, performance.now() - begun);
        return problem;
      }
    },
  };
}
