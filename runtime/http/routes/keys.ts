import { KeyfoldError } from "../../errors.ts";
import type { GetQuery, HostApi, ListQuery } from "../../host/api.ts";
import { exclusive, flag, integer, oneOf, parseQuery, position, type Query } from "../query.ts";
import { jsonResponse } from "../responses.ts";
import type { Handler } from "../route-table.ts";
import { checkKey, functionIn, keyIn, pathOf, queryOf } from "../target.ts";

const GET_PARAMETERS = ["at-least", "stale", "as-of", "from", "to"];
const LIST_PARAMETERS = ["prefix", "from", "to", "limit", "cursor", "count"];
const DEFAULT_PAGE = 100;

/** `GET /v1/functions/{fn}/keys/{key}` */
export function getHandler(host: HostApi): Handler {
  const maxKey = host.config.limits["key.max.bytes"];
  return async (c) => {
    const path = pathOf(c.req.raw, c);
    const fn = functionIn(path);
    const key = keyIn(path, maxKey);
    const text = await host.get(fn, key, toGetQuery(parseQuery(queryOf(c), GET_PARAMETERS)));
    if (text === undefined)
      throw new KeyfoldError("not-found", `function ${fn} has no state for the key ${JSON.stringify(key)}`, {
        details: { function: fn, key },
      });
    return jsonResponse(text);
  };
}

function toGetQuery(query: Query): GetQuery {
  const atLeast = position(query, "at-least");
  const stale = oneOf(query, "stale", ["allow"]);
  const asOf = integer(query, "as-of");
  const from = integer(query, "from");
  const to = integer(query, "to");
  exclusive(query, "as-of", ["from", "to", "at-least"]);
  checkOrder(from, to);
  return {
    ...(atLeast === undefined ? {} : { atLeast }),
    ...(stale === undefined ? {} : { stale: true }),
    ...(asOf === undefined ? {} : { asOf }),
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
  };
}

function checkOrder(from: number | undefined, to: number | undefined): void {
  if (from !== undefined && to !== undefined && from > to)
    throw new KeyfoldError("bad-request", `query parameter \`from\` (${from}) is after \`to\` (${to})`);
}

/** `GET /v1/functions/{fn}/keys` */
export function listHandler(host: HostApi): Handler {
  const { limits } = host.config;
  return async (c) => {
    const fn = functionIn(pathOf(c.req.raw, c));
    const query = parseQuery(queryOf(c), LIST_PARAMETERS);
    const limit = integer(query, "limit", 1, limits["batch.max.records"], "batch.max.records") ?? DEFAULT_PAGE;
    if (flag(query, "count")) {
      exclusive(query, "count", ["limit", "cursor"]);
      return jsonResponse(`{"count":${await host.count(fn, toListQuery(query, Number.MAX_SAFE_INTEGER, limits["key.max.bytes"]))}}`);
    }
    const { items, cursor } = await host.list(fn, toListQuery(query, limit, limits["key.max.bytes"]));
    return jsonResponse(`{"items":[${items.join(",")}],"cursor":${JSON.stringify(cursor)}}`);
  };
}

function toListQuery(query: Query, limit: number, maxKey: number): ListQuery {
  const bound = (name: string): string | undefined => {
    const value = query.get(name);
    // An empty bound is an open one, so that `?prefix=` means every key.
    return value === undefined || value === "" ? undefined : checkKey(value, maxKey, `query parameter \`${name}\`: `);
  };
  const prefix = bound("prefix");
  const from = bound("from");
  const to = bound("to");
  const cursor = query.get("cursor");
  return {
    limit,
    ...(prefix === undefined ? {} : { prefix }),
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
    ...(cursor === undefined || cursor === "" ? {} : { cursor }),
  };
}
