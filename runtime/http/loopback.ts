import { KeyfoldError } from "../errors.ts";
import { ignore, problemOf, problemResponse } from "./problem.ts";
import { type Bindings, pathOf } from "./target.ts";

type Fetch = (request: Request, env: Bindings) => Response | Promise<Response>;

/** An address only this machine reaches. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host === "[::1]" || /^127(\.\d{1,3}){3}$/.test(host);
}

/**
 * Loopback keeps other machines out, but not the web pages this machine's browser has open: a page may send requests to
 * 127.0.0.1, under its own name by DNS rebinding. So only requests that call us by a loopback name, from no other origin, pass.
 */
export function guardLoopback(fetch: Fetch): Fetch {
  return (request, env) => {
    const host = request.headers.get("host");
    const origin = request.headers.get("origin");
    const wrong =
      host !== null && !isLoopback(hostName(host))
        ? `the Host header is ${JSON.stringify(host)}`
        : origin !== null && !sameOrigin(origin, host)
          ? `the Origin header is ${JSON.stringify(origin)}`
          : undefined;
    if (wrong === undefined) return fetch(request, env);
    const error = new KeyfoldError("unauthorized", `${wrong}: the internal listener answers only to loopback names and from its own pages`);
    return problemResponse(problemOf(error, pathOf(request, { env }), ignore));
  };
}

function hostName(host: string): string {
  return host.replace(/:\d+$/, "").toLowerCase();
}

/** Whether a page of the origin was served under the name that its request calls us by. */
export function sameOrigin(origin: string, host: string | null | undefined): boolean {
  return URL.canParse(origin) && new URL(origin).host === host?.toLowerCase();
}
