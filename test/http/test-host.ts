import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Limits } from "../../runtime/config/resolved.ts";
import { KeyfoldError } from "../../runtime/errors.ts";
import type {
  FunctionInfo,
  GetQuery,
  HostApi,
  InputRecord,
  ListQuery,
  Position,
  RouteRequest,
  RouteResponse,
} from "../../runtime/host/api.ts";
import { tailRecord } from "../../runtime/host/tail.ts";
import { openEmbeddedLog } from "../../runtime/log/embedded/log.ts";
import { partitionOf } from "../../runtime/log/partitioner.ts";
import { BatchBuilder, decodeBatches } from "../../runtime/log/record-batch.ts";

export const seed = Number(process.env["KEYFOLD_SEED"] ?? 20261121);

export const LIMITS: Limits = {
  "body.max.bytes": 64 * 1024,
  "batch.max.records": 100,
  "key.max.bytes": 64,
  "record.max.bytes": 4096,
  "state.max.bytes": 1 << 20,
  "reducer.timeout.ms": 5_000,
  "worker.heap.max.bytes": 512 << 20,
  "live.max.clients": 3,
  "wait.max.ms": 30_000,
  "stop.max.ms": 10_000,
};

const PARTITIONS = 4;

/** HostApi over a real embedded log; states are a map that "reduces" by keeping the last event. */
export interface TestHost extends HostApi {
  readonly states: Map<string, { value: string; position: Position }>;
  readonly calls: {
    get: GetQuery[];
    list: ListQuery[];
    invoke: { fn: string; key: string; event: string; wait: string }[];
    route: RouteRequest[];
  };
  /** Called before each append. */
  onAppend: (records: readonly InputRecord[]) => void | Promise<void>;
  routeAnswer: (request: RouteRequest) => RouteResponse;
  reasons: string[];
  readonly subscribers: Set<{ key: string | undefined; listener: (json: string) => void }>;
  changed(key: string, json: string): void;
  records(topic: string): Promise<
    {
      key: string | null;
      value: unknown;
      raw: string | null;
      partition: number;
      offset: number;
      timestamp: number;
      headers: Record<string, string> | undefined;
    }[]
  >;
  close(): Promise<void>;
}

export async function createTestHost(limits: Partial<Limits> = {}): Promise<TestHost> {
  const dir = await mkdtemp(join(tmpdir(), "keyfold-http-"));
  const log = await openEmbeddedLog({ dir: join(dir, "log"), flush: "os" });
  const states: TestHost["states"] = new Map();
  const subscribers: TestHost["subscribers"] = new Set();
  const calls: TestHost["calls"] = { get: [], list: [], invoke: [], route: [] };
  let version = 0;
  const known = (fn: string): void => {
    if (fn !== "airport-stats")
      throw new KeyfoldError("function-unknown", `no function ${JSON.stringify(fn)}; there is airport-stats`, {
        details: { function: fn },
      });
  };
  const matching = ({ prefix = "", from = "", to, cursor }: ListQuery): string[] =>
    [...states.keys()]
      .sort()
      .filter((key) => key.startsWith(prefix) && key >= from && (to === undefined || key < to) && (cursor === undefined || key > cursor));

  const host: TestHost = {
    config: { limits: { ...LIMITS, ...limits } },
    isInternal: (topic) => /^app-.*-(changelog|repartition)$/.test(topic),
    states,
    calls,
    subscribers,
    onAppend: () => {},
    routeAnswer: () => ({ status: 200, headers: [["content-type", "text/plain"]], body: Buffer.from("routed") }),
    reasons: [],
    functions: async () => [INFO],
    tasks: async () => [
      {
        function: "airport-stats",
        task: "0_0",
        worker: 0,
        state: "RUNNING",
        positions: {},
        committed: {},
        lag: 0,
        entries: { "airport-stats": states.size },
      },
    ],
    topics: async () => {
      const topics = await log.topics();
      return Promise.all(
        topics.map(async (topic) => {
          const ranges = await log.offsets(Array.from({ length: topic.partitions }, (_, partition) => ({ topic: topic.name, partition })));
          return { ...topic, internal: false, offsets: ranges.map(({ start, end }, partition) => ({ partition, start, end })) };
        }),
      );
    },
    hosts: () => [{ id: "local", url: "http://127.0.0.1:1", tasks: 1 }],
    async append(topic, records) {
      await host.onAppend(records);
      await log.ensureTopic({ name: topic, partitions: PARTITIONS });
      const builders = new Map<number, BatchBuilder>();
      const where = records.map((record) => {
        const partition = record.key === null ? 0 : partitionOf(record.key, PARTITIONS);
        let builder = builders.get(partition);
        if (builder === undefined) builders.set(partition, (builder = new BatchBuilder()));
        const headers =
          record.headers === undefined ? null : Object.entries(record.headers).map(([name, value]) => [name, Buffer.from(value)] as const);
        builder.append(record.key, record.value, record.timestamp ?? Date.now(), headers);
        return { partition, index: builder.count - 1 };
      });
      const lanes = [...builders];
      const bases = await log.append(
        lanes.map(([partition, builder]) => ({ topic, partition, count: builder.count, data: builder.finish() })),
      );
      return where.map(({ partition, index }) => ({
        partition,
        offset: (bases[lanes.findIndex(([lane]) => lane === partition)] ?? 0) + index,
      }));
    },
    async invoke(fn, key, event, wait) {
      known(fn);
      const value = Buffer.from(event).toString();
      calls.invoke.push({ fn, key, event: value, wait });
      const [position] = await host.append("flights", [{ key, value: event }]);
      if (position === undefined) throw new Error("no position");
      states.set(key, { value, position });
      version++;
      return `{"key":${JSON.stringify(key)},"value":${value},"timestamp":1,"partition":${position.partition},"offset":${position.offset},"version":"${version}"}`;
    },
    async get(fn, key, query) {
      known(fn);
      calls.get.push(query);
      const state = states.get(key);
      return (
        state &&
        `{"key":${JSON.stringify(key)},"value":${state.value},"timestamp":1,"partition":${state.position.partition},"offset":${state.position.offset},"lag":0}`
      );
    },
    async list(fn, query) {
      known(fn);
      calls.list.push(query);
      const keys = matching(query);
      const page = keys.slice(0, query.limit);
      return {
        items: page.map((key) => `{"key":${JSON.stringify(key)},"value":${states.get(key)?.value},"timestamp":1}`),
        cursor: keys.length > page.length ? (page.at(-1) ?? null) : null,
      };
    },
    async count(fn, query) {
      known(fn);
      return matching(query).length;
    },
    metadata(fn, key) {
      known(fn);
      return { partition: partitionOf(key, PARTITIONS), active: { id: "local", url: "http://127.0.0.1:1" }, standbys: [] };
    },
    live(fn, key, listener) {
      known(fn);
      const subscriber = { key, listener };
      subscribers.add(subscriber);
      return () => subscribers.delete(subscriber);
    },
    changed(key, json) {
      for (const subscriber of subscribers) if (subscriber.key === undefined || subscriber.key === key) subscriber.listener(json);
    },
    async route(fn, request) {
      known(fn);
      calls.route.push(request);
      return host.routeAnswer(request);
    },
    async read(topic, partition, position, maxWaitMs) {
      const fetched = await log.fetch({ topic, partition, position, maxBytes: 1 << 20, maxWaitMs });
      const batch = decodeBatches(fetched.data, { from: position });
      return {
        records: Array.from({ length: batch.length }, (_, i) => tailRecord(topic, partition, batch, i)),
        next: fetched.next,
        end: fetched.end,
      };
    },
    async records(topic) {
      const all = [];
      for (let partition = 0; partition < PARTITIONS; partition++) {
        for (let position = 0; ; ) {
          const fetched = await log.fetch({ topic, partition, position, maxBytes: 1 << 20, maxWaitMs: 0 });
          const batch = decodeBatches(fetched.data, { from: position });
          for (let i = 0; i < batch.length; i++) {
            const start = batch.valueStart[i] ?? -1;
            const { key, value, offset, timestamp, headers } = tailRecord(topic, partition, batch, i);
            all.push({
              key,
              value,
              raw: start === -1 ? null : batch.buffer.toString("utf8", start, batch.valueEnd[i]),
              partition,
              offset,
              timestamp,
              headers,
            });
          }
          if (fetched.next === position) break;
          position = fetched.next;
        }
      }
      return all;
    },
    unhealthy: () => host.reasons,
    notReady: () => host.reasons,
    metrics: async () => "# TYPE keyfold_up gauge\nkeyfold_up 1\n",
    async close() {
      await log.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
  return host;
}

const INFO: FunctionInfo = {
  name: "airport-stats",
  version: "0123456789abcdef",
  state: "RUNNING",
  sources: ["flights"],
  sinks: ["daily"],
  stores: ["airport-stats"],
  lag: 0,
  manifest: {
    format: 1,
    name: "airport-stats",
    versionId: "0123456789abcdef",
    builtWith: "0.1.0",
    schemaVersion: 1,
    topology: { subtopologies: [] },
    settings: {},
    invoke: { topic: "flights", store: "airport-stats" },
    hasRoutes: true,
    bytes: 1,
  },
};

/** A problem document's members, checked. */
export async function problem(
  response: Response,
  status: number,
  code: string,
): Promise<{ detail: string; details?: Record<string, unknown>; [name: string]: unknown }> {
  const text = await response.text();
  if (response.status !== status || response.headers.get("content-type") !== "application/problem+json")
    throw new Error(`wanted a ${status} problem, got ${response.status} ${response.headers.get("content-type")}: ${text}`);
  const document = JSON.parse(text) as { type: string; title: string; status: number; detail: string; instance: string; code: string };
  if (
    document.code !== code ||
    document.status !== status ||
    document.type !== `/errors#${code}` ||
    document.title === "" ||
    document.instance === ""
  )
    throw new Error(`wanted ${code}, got ${text}`);
  return document as unknown as { detail: string };
}

export const json = (value: unknown): RequestInit => ({
  method: "POST",
  headers: { "content-type": "application/json" },
  body: typeof value === "string" ? value : JSON.stringify(value),
});
export const ndjson = (body: string | ReadableStream<Uint8Array>): RequestInit =>
  ({
    method: "POST",
    headers: { "content-type": "application/x-ndjson" },
    body,
    ...(typeof body === "string" ? {} : { duplex: "half" as const }),
  }) as RequestInit;
