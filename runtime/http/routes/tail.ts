import { KeyfoldError } from "../../errors.ts";
import type { HostApi, TailRecord, TopicInfo } from "../../host/api.ts";
import { LIVE_HEADERS } from "../live-clients.ts";
import { JSON_TYPE, NDJSON_TYPE } from "../media.ts";
import { suggestion } from "../nearest.ts";
import { integer, parseQuery, type Query } from "../query.ts";
import { jsonResponse } from "../responses.ts";
import type { Handler } from "../route-table.ts";
import { StreamWriter } from "../stream-writer.ts";
import { headerOf, pathOf, queryOf, topicIn } from "../target.ts";

const PARAMETERS = ["partition", "from", "wait", "limit"];
/** One look at the log lasts no longer, so that a reader who has gone is noticed. */
const LOOK_MS = 1_000;
const HEARTBEAT_MS = 15_000;
/** Binary search by time stops here and reads on. */
const SEARCH_STEP = 1_000;

type From =
  | { readonly kind: "earliest" | "latest" }
  | { readonly kind: "offset"; readonly offset: number }
  | { readonly kind: "time"; readonly ms: number };

interface Plan {
  readonly topic: string;
  readonly partitions: readonly { readonly partition: number; readonly start: number; readonly end: number }[];
  readonly from: From;
  /** Time without a record after which the stream ends, ms. */
  readonly waitMs: number;
  readonly limit: number;
  readonly events: boolean;
}

/**
 * `GET /v1/topics/{topic}/records?partition=&from=&wait=&limit=`: records as NDJSON, or as server-sent events to who accepts those.
 * Reads to the end of the log and, with `wait`, goes on until nothing came for so long. Who accepts JSON gets one page of one
 * partition, `{ records, next, end }`, for which `wait` is the time to wait for the first record.
 */
export function tailHandler(host: HostApi, open: Set<StreamWriter>): Handler {
  return async (c) => {
    const topic = topicIn(pathOf(c.req.raw, c));
    const accept = headerOf(c, "accept") ?? "";
    const events = accept.includes("text/event-stream");
    const plan = toPlan(await find(host, topic), parseQuery(queryOf(c), PARAMETERS), events);
    const headers = events ? LIVE_HEADERS : { "content-type": NDJSON_TYPE, "cache-control": "no-store", "x-accel-buffering": "no" };
    if (c.req.method === "HEAD") return new Response(null, { headers });
    if (accept.includes(JSON_TYPE)) return jsonResponse(await page(host, plan));
    const writer = new StreamWriter();
    open.add(writer);
    void follow(host, plan, writer).finally(() => open.delete(writer));
    return new Response(writer.stream, { headers });
  };
}

async function page(host: HostApi, plan: Plan): Promise<string> {
  const [range, another] = plan.partitions;
  if (range === undefined || another !== undefined)
    throw new KeyfoldError("bad-request", "a JSON page is of one partition: say which with `partition`, or accept application/x-ndjson");
  const position = await startOf(host, plan, range);
  const { records, next, end } = await host.read(
    plan.topic,
    range.partition,
    position,
    Math.min(plan.waitMs, host.config.limits["wait.max.ms"]),
  );
  const taken = records.length > plan.limit ? records.slice(0, plan.limit) : records;
  const last = taken.at(-1);
  return JSON.stringify({ records: taken, next: taken.length < records.length && last !== undefined ? last.offset + 1 : next, end });
}

async function find(host: HostApi, name: string): Promise<TopicInfo> {
  const topics = await host.topics();
  const topic = topics.find((each) => each.name === name);
  if (topic !== undefined) return topic;
  throw new KeyfoldError(
    "topic-unknown",
    `there is no topic ${JSON.stringify(name.slice(0, 249))}${suggestion(
      name,
      topics.map((each) => each.name),
    )}`,
    { details: { topic: name } },
  );
}

function toPlan(topic: TopicInfo, query: Query, events: boolean): Plan {
  const partition = integer(query, "partition");
  const partitions = partition === undefined ? topic.offsets : topic.offsets.filter((each) => each.partition === partition);
  if (partitions.length === 0)
    throw new KeyfoldError("partition-unknown", `topic ${topic.name} has no partition ${partition}; it has 0 to ${topic.partitions - 1}`);
  const waitMs = query.get("wait") === "forever" ? Number.POSITIVE_INFINITY : (integer(query, "wait") ?? 0);
  const from = toFrom(query.get("from") ?? "earliest");
  if (from.kind === "offset" && partition === undefined && topic.partitions > 1) {
    throw new KeyfoldError(
      "bad-request",
      `\`from=${from.offset}\` is an offset, and offsets are of one partition: say which with \`partition\``,
    );
  }
  return { topic: topic.name, partitions, from, waitMs, limit: integer(query, "limit", 1) ?? Number.POSITIVE_INFINITY, events };
}

function toFrom(text: string): From {
  if (text === "earliest" || text === "latest") return { kind: text };
  if (/^\d{1,16}$/.test(text)) return { kind: "offset", offset: Number(text) };
  const ms = /^@\d{1,16}$/.test(text) ? Number(text.slice(1)) : /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isFinite(ms)) return { kind: "time", ms };
  throw new KeyfoldError(
    "bad-request",
    `query parameter \`from\` is ${JSON.stringify(text.slice(0, 64))}; it takes \`earliest\`, \`latest\`, an offset, or a time: \`@<epoch ms>\` or \`2026-11-21T12:00:00Z\``,
  );
}

async function follow(host: HostApi, plan: Plan, writer: StreamWriter): Promise<void> {
  const shared = { left: plan.limit, lastAt: performance.now() };
  // Without it neither proxies nor we would notice that the other side has gone.
  const heartbeat = setInterval(() => void writer.write(plan.events ? ":\n\n" : "\n"), HEARTBEAT_MS);
  try {
    if (plan.events) await writer.write(": tail\n\n");
    await Promise.all(plan.partitions.map((range) => followOne(host, plan, range, writer, shared)));
  } catch (thrown) {
    const error = KeyfoldError.from(thrown, "log-unavailable", "retry");
    const text = JSON.stringify({ error: { code: error.code, detail: error.message } });
    await writer.write(plan.events ? `event: error\ndata: ${text}\n\n` : `${text}\n`);
  } finally {
    clearInterval(heartbeat);
    writer.end();
  }
}

async function followOne(
  host: HostApi,
  plan: Plan,
  range: { partition: number; start: number; end: number },
  writer: StreamWriter,
  shared: { left: number; lastAt: number },
): Promise<void> {
  const { partition, end } = range;
  let position = await startOf(host, plan, range);
  for (;;) {
    const waitMs = position < end ? 0 : Math.min(LOOK_MS, plan.waitMs - (performance.now() - shared.lastAt));
    if (writer.signal.aborted || shared.left <= 0 || waitMs < 0 || (position >= end && plan.waitMs === 0)) return;
    const { records, next } = await host.read(plan.topic, partition, position, waitMs);
    if (records.length > 0) {
      const taken = records.length > shared.left ? records.slice(0, shared.left) : records;
      shared.left -= taken.length;
      shared.lastAt = performance.now();
      await writer.write(taken.map((record) => format(record, plan.events)).join(""));
    } else if (next === position && position < end) return;
    position = next;
  }
}

function format(record: TailRecord, events: boolean): string {
  const text = JSON.stringify(record);
  return events ? `data: ${text}\n\n` : `${text}\n`;
}

async function startOf(
  host: HostApi,
  plan: Plan,
  { partition, start, end }: { partition: number; start: number; end: number },
): Promise<number> {
  switch (plan.from.kind) {
    case "earliest":
      return start;
    case "latest":
      return end;
    case "offset":
      return plan.from.offset;
    case "time":
      return firstAt(host, plan.topic, partition, start, end, plan.from.ms);
  }
}

/** Position of the first record from a time on, taking timestamps to grow with offsets. */
async function firstAt(host: HostApi, topic: string, partition: number, start: number, end: number, ms: number): Promise<number> {
  let low = start;
  let high = end;
  while (high - low > SEARCH_STEP) {
    const middle = low + Math.floor((high - low) / 2);
    const [record] = (await host.read(topic, partition, middle, 0)).records;
    if (record === undefined || record.timestamp >= ms) high = middle;
    else low = record.offset + 1;
  }
  for (let position = low; position < end; ) {
    const { records, next } = await host.read(topic, partition, position, 0);
    const found = records.find((record) => record.timestamp >= ms);
    if (found !== undefined) return found.offset;
    if (next === position) break;
    position = next;
  }
  return end;
}
