import type { HostApi, Position } from "../../host/api.ts";
import { readBody } from "../body.ts";
import { bodyKind } from "../media.ts";
import { appendLines } from "../ndjson.ts";
import { parseQuery } from "../query.ts";
import { checkTopic, parseRecords } from "../records.ts";
import { jsonResponse } from "../responses.ts";
import type { Handler } from "../route-table.ts";
import { headerOf, pathOf, queryOf, topicIn } from "../target.ts";

/** `POST /v1/topics/{topic}/records` */
export function recordsHandler(host: HostApi): Handler {
  const { limits, name } = host.config;
  return async (c) => {
    const topic = checkTopic(topicIn(pathOf(c.req.raw, c)), name);
    parseQuery(queryOf(c), []);
    if (bodyKind(headerOf(c, "content-type"), headerOf(c, "content-encoding"), true) === "ndjson") return jsonResponse(await appendLines(host, topic, c));
    const records = parseRecords(await readBody(c, limits["body.max.bytes"]), limits);
    const positions: Position[] = records.length === 0 ? [] : await host.append(topic, records);
    return jsonResponse(JSON.stringify({ records: records.length, positions }));
  };
}
