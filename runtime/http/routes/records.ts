import type { HostApi } from "../../host/api.ts";
import { bodyChunks, readBody } from "../body.ts";
import { bodyKind, refuseForeignPage } from "../media.ts";
import { appendLines, type Chunks } from "../ndjson.ts";
import { parseQuery } from "../query.ts";
import { checkTopic, parseRecords } from "../records.ts";
import { jsonResponse } from "../responses.ts";
import type { Handler } from "../route-table.ts";
import { headerOf, pathOf, queryOf, topicIn } from "../target.ts";

/** `POST /v1/topics/{topic}/records` */
export function recordsHandler(host: HostApi): Handler {
  const limit = host.config.limits["body.max.bytes"];
  return async (c) => {
    refuseForeignPage(c);
    const [path, query, type, encoding] = [pathOf(c.req.raw, c), queryOf(c), headerOf(c, "content-type"), headerOf(c, "content-encoding")];
    return jsonResponse(
      await appendBody(
        host,
        path,
        query,
        type,
        encoding,
        () => readBody(c, limit),
        () => bodyChunks(c),
      ),
    );
  };
}

/** Appends what a body holds: one record, an array of them, or one a line. Resolves to the JSON text of the answer. */
export async function appendBody(
  host: HostApi,
  path: string,
  query: string,
  contentType: string | undefined,
  contentEncoding: string | undefined,
  whole: () => Promise<Buffer>,
  chunks: () => Chunks,
): Promise<string> {
  const { limits } = host.config;
  const topic = checkTopic(topicIn(path), host);
  parseQuery(query, []);
  if (bodyKind(contentType, contentEncoding, true) === "ndjson") return appendLines(host, topic, chunks());
  const records = parseRecords(await whole(), limits);
  const positions = records.length === 0 ? [] : await host.append(topic, records);
  return JSON.stringify({ records: records.length, positions });
}
