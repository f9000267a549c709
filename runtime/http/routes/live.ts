import type { HostApi } from "../../host/api.ts";
import { LIVE_HEADERS, type LiveClients } from "../live-clients.ts";
import { parseQuery } from "../query.ts";
import type { Handler } from "../route-table.ts";
import { functionIn, type HttpContext, keyIn, pathOf, queryOf } from "../target.ts";

/** `GET /v1/functions/{fn}/keys/{key}/live` */
export function liveKeyHandler(host: HostApi, clients: LiveClients): Handler {
  return (c) => {
    const path = pathOf(c.req.raw, c);
    return open(c, host, clients, functionIn(path), keyIn(path, host.config.limits["key.max.bytes"]));
  };
}

/** `GET /v1/functions/{fn}/live` */
export function liveFunctionHandler(host: HostApi, clients: LiveClients): Handler {
  return (c) => open(c, host, clients, functionIn(pathOf(c.req.raw, c)), undefined);
}

function open(c: HttpContext, host: HostApi, clients: LiveClients, fn: string, key: string | undefined): Response {
  parseQuery(queryOf(c), []);
  // Nobody would ever read, nor cancel, the stream of a HEAD.
  if (c.req.method === "HEAD") return new Response(null, { headers: LIVE_HEADERS });
  const outgoing = c.env?.outgoing;
  return clients.open(
    (listener) => host.live(fn, key, listener),
    () => outgoing?.destroy(),
  );
}
