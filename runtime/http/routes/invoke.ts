import type { HostApi } from "../../host/api.ts";
import { readBody } from "../body.ts";
import { invoke, parseInvoke } from "../invoke.ts";
import { bodyKind, refuseForeignPage } from "../media.ts";
import { jsonResponse } from "../responses.ts";
import type { Handler } from "../route-table.ts";
import { headerOf, pathOf, queryOf } from "../target.ts";

/** `POST /v1/functions/{fn}/keys/{key}?wait=processed|committed` */
export function invokeHandler(host: HostApi): Handler {
  const { limits } = host.config;
  return async (c) => {
    const target = parseInvoke(pathOf(c.req.raw, c), queryOf(c), limits);
    refuseForeignPage(c);
    bodyKind(headerOf(c, "content-type"), headerOf(c, "content-encoding"), false);
    return jsonResponse(await invoke(host, target, await readBody(c, limits["body.max.bytes"])));
  };
}
