import { type ErrorCode, KeyfoldError } from "../errors.ts";
import type { FunctionInfo, HostInfo, InputRecord, Position, TailRecord, TaskInfo, TopicInfo } from "../host/api.ts";
import { JSON_TYPE, NDJSON_TYPE } from "./media.ts";
import { STATUS } from "./status.ts";

export interface ClientOptions {
  /** Public listener, e.g. `http://127.0.0.1:8787`. */
  readonly url: string;
  /** Internal listener; needed for tasks, topics, hosts, metrics and tail. */
  readonly internalUrl?: string;
  /** Bearer token, where the host asks for one. */
  readonly token?: string;
  /** Default: the global `fetch`. */
  readonly fetch?: typeof fetch;
}

/** One key's state; `value` null: deleted. */
export interface Entry<V = unknown> {
  readonly key: string;
  readonly value: V;
  readonly timestamp: number;
}

export type Change<V = unknown> = Entry<V | null> & Position;
export type Invoked<V = unknown> = Change<V> & { readonly version: string };
export type State<V = unknown> = Entry<V> & Position & { readonly lag: number };
export type FunctionSummary = Omit<FunctionInfo, "manifest"> & {
  readonly topics: readonly string[];
  readonly invoke: boolean;
  readonly routes: boolean;
};
/** A record whose value is any JSON; null is a tombstone. */
export type JsonRecord = Omit<InputRecord, "value"> & { readonly value: unknown };

export interface Range {
  readonly prefix?: string;
  readonly from?: string;
  readonly to?: string;
}

type Parameters = Readonly<Record<string, string | number | boolean | undefined>>;

/** The HTTP API, typed. Problem documents come back as the KeyfoldError they were made from. */
export class Client {
  readonly #options: ClientOptions;

  constructor(options: ClientOptions) {
    this.#options = options;
  }

  async append(topic: string, records: readonly JsonRecord[]): Promise<Position[]> {
    const answer = await this.#json<{ positions: Position[] }>("POST", `/v1/topics/${segment(topic)}/records`, {}, JSON.stringify(records));
    return answer.positions;
  }

  /** Appends NDJSON text; resolves to the number of records and the last offset by partition. */
  appendLines(topic: string, lines: string | ReadableStream<Uint8Array>): Promise<{ records: number; positions: Position[] }> {
    return this.#json("POST", `/v1/topics/${segment(topic)}/records`, {}, lines, NDJSON_TYPE);
  }

  invoke<V = unknown>(
    fn: string,
    key: string,
    event: unknown,
    options: { wait?: "processed" | "committed"; signal?: AbortSignal } = {},
  ): Promise<Invoked<V>> {
    return this.#json(
      "POST",
      `${functionPath(fn)}/keys/${keySegment(key)}`,
      { wait: options.wait },
      JSON.stringify(event),
      JSON_TYPE,
      options.signal,
    );
  }

  /** Undefined: the key has no state. */
  async get<V = unknown>(
    fn: string,
    key: string,
    options: { atLeast?: Position; stale?: boolean; asOf?: number } = {},
  ): Promise<State<V> | undefined> {
    const { atLeast, stale, asOf } = options;
    const parameters = {
      "at-least": atLeast === undefined ? undefined : `${atLeast.partition}:${atLeast.offset}`,
      stale: stale === true ? "allow" : undefined,
      "as-of": asOf,
    };
    try {
      return await this.#get<State<V>>(["key"], `${functionPath(fn)}/keys/${keySegment(key)}`, parameters);
    } catch (thrown) {
      if (thrown instanceof KeyfoldError && thrown.code === "not-found") return undefined;
      throw thrown;
    }
  }

  windows<V = unknown>(
    fn: string,
    key: string,
    from: number,
    to: number,
  ): Promise<{ key: string; windows: { start: number; end: number; value: V }[] }> {
    return this.#get(["key", "windows"], `${functionPath(fn)}/keys/${keySegment(key)}`, { from, to });
  }

  page<V = unknown>(
    fn: string,
    range: Range & { limit?: number; cursor?: string } = {},
  ): Promise<{ items: Entry<V>[]; cursor: string | null }> {
    return this.#get(["items", "cursor"], `${functionPath(fn)}/keys`, { ...range });
  }

  /** All entries of a range, page by page. */
  async *list<V = unknown>(fn: string, range: Range & { limit?: number } = {}): AsyncGenerator<Entry<V>> {
    let cursor: string | null = null;
    do {
      const page: { items: Entry<V>[]; cursor: string | null } = await this.page<V>(fn, {
        ...range,
        ...(cursor === null ? {} : { cursor }),
      });
      yield* page.items;
      cursor = page.cursor;
    } while (cursor !== null);
  }

  async count(fn: string, range: Range = {}): Promise<number> {
    return (await this.#get<{ count: number }>(["count"], `${functionPath(fn)}/keys`, { ...range, count: true })).count;
  }

  metadata(
    fn: string,
    key: string,
  ): Promise<{ partition: number; active: { id: string; url: string } | null; standbys: { id: string; url: string; lag: number }[] }> {
    return this.#get(["partition", "active"], `${functionPath(fn)}/metadata`, { key });
  }

  async functions(): Promise<FunctionSummary[]> {
    return this.#list("functions", ["name", "version", "sources", "sinks", "stores"], "/v1/functions");
  }

  /** Changes of a key, or of all keys; ends when the host ends it or the signal aborts. */
  async *live<V = unknown>(fn: string, key?: string, signal?: AbortSignal): AsyncGenerator<Change<V>> {
    const path = key === undefined ? `${functionPath(fn)}/live` : `${functionPath(fn)}/keys/${keySegment(key)}/live`;
    const response = await this.#send("GET", this.#at(path, {}), { accept: "text/event-stream" }, undefined, signal);
    for await (const line of linesOf(response)) if (line.startsWith("data: ")) yield JSON.parse(line.slice(6)) as Change<V>;
  }

  async tasks(): Promise<TaskInfo[]> {
    return this.#list("tasks", ["function", "task", "entries"], this.#internal("/v1/tasks"));
  }

  async topics(): Promise<TopicInfo[]> {
    return this.#list("topics", ["name", "offsets", "config"], this.#internal("/v1/topics"));
  }

  async hosts(): Promise<HostInfo[]> {
    return this.#list("hosts", ["id", "url"], this.#internal("/v1/hosts"));
  }

  async metrics(): Promise<string> {
    return (await this.#send("GET", this.#internal("/metrics"), {})).text();
  }

  /** Records of a topic. `from`: `earliest`, `latest`, an offset (with a partition), `@<epoch ms>` or an ISO time; `wait`: ms, or `forever`. */
  async *tail(
    topic: string,
    options: { partition?: number; from?: string | number; wait?: number | "forever"; limit?: number; signal?: AbortSignal } = {},
  ): AsyncGenerator<TailRecord> {
    const { signal, ...parameters } = options;
    const url = this.#at(this.#internal(`/v1/topics/${segment(topic)}/records`), parameters);
    const response = await this.#send("GET", url, { accept: NDJSON_TYPE }, undefined, signal);
    for await (const line of linesOf(response)) {
      if (line === "") continue;
      const record = JSON.parse(line) as TailRecord & { error?: { code: ErrorCode; detail: string } };
      if (record.error !== undefined) throw new KeyfoldError(record.error.code, record.error.detail, { remedy: "retry" });
      yield record;
    }
  }

  #internal(path: string): string {
    if (this.#options.internalUrl === undefined)
      throw new KeyfoldError("bad-request", `${path} is on the internal listener, whose URL this client was not given`);
    return new URL(path, this.#options.internalUrl).href;
  }

  #at(path: string, parameters: Parameters): string {
    const url = new URL(path, this.#options.url);
    for (const [name, value] of Object.entries(parameters)) if (value !== undefined) url.searchParams.set(name, String(value));
    return url.href;
  }

  /** What is at a path, an object with these members. */
  async #get<T>(members: readonly string[], path: string, parameters: Parameters = {}): Promise<T> {
    const answer = await this.#json<T>("GET", path, parameters);
    if (has(answer, members)) return answer;
    throw notKeyfold(new URL(path, this.#options.url).origin, `its answer lacks ${members.join(", ")}`);
  }

  /** The items of an answer that is a list, under its name, each with these members. */
  async #list<T>(name: string, members: readonly string[], path: string): Promise<T[]> {
    const { [name]: items } = await this.#get<Record<string, unknown>>([name], path);
    if (Array.isArray(items) && items.every((item) => has(item, members))) return items as T[];
    throw notKeyfold(new URL(path, this.#options.url).origin, `its ${name} lack ${members.join(", ")}`);
  }

  async #json<T>(
    method: string,
    path: string,
    parameters: Parameters = {},
    body?: string | ReadableStream<Uint8Array>,
    type = JSON_TYPE,
    signal?: AbortSignal,
  ): Promise<T> {
    const headers = body === undefined ? { accept: JSON_TYPE } : { accept: JSON_TYPE, "content-type": type };
    const url = this.#at(path, parameters);
    const text = await (await this.#send(method, url, headers, body, signal)).text();
    try {
      return JSON.parse(text) as T;
    } catch (cause) {
      throw notKeyfold(new URL(url).origin, "its answer is not JSON", cause);
    }
  }

  async #send(
    method: string,
    url: string,
    headers: Record<string, string>,
    body?: string | ReadableStream<Uint8Array>,
    signal?: AbortSignal,
  ): Promise<Response> {
    const { token, fetch: send = fetch } = this.#options;
    const init: RequestInit & { duplex?: "half" } = {
      method,
      headers: token === undefined ? headers : { ...headers, authorization: `Bearer ${token}` },
    };
    if (signal !== undefined) init.signal = signal;
    if (body !== undefined) init.body = body;
    if (body instanceof ReadableStream) init.duplex = "half";
    const response = await send(url, init);
    if (!response.ok) throw await errorOf(response);
    return response;
  }
}

/** Something else listens where a host was looked for. */
export function notKeyfold(origin: string, why: string, cause?: unknown): KeyfoldError {
  return new KeyfoldError("host-unreachable", `what answers at ${origin} is not a keyfold host (${why})`, {
    cause,
    details: { url: origin },
  });
}

function has(value: unknown, members: readonly string[]): boolean {
  return typeof value === "object" && value !== null && members.every((name) => name in value);
}

function functionPath(fn: string): string {
  return `/v1/functions/${segment(fn)}`;
}

/** URLs drop the segments `.` and `..`, however they are written, and nothing would be at the rest. */
function keySegment(key: string): string {
  if (key !== "." && key !== "..") return segment(key);
  throw new KeyfoldError(
    "bad-request",
    `the key ${JSON.stringify(key)} cannot be part of a URL's path; reach it by \`POST /v1/topics/{topic}/records\` and by a range`,
  );
}

function segment(text: string): string {
  return encodeURIComponent(text);
}

/** A problem document as the error it was made from. */
export async function errorOf(response: Response): Promise<KeyfoldError> {
  const text = await response.text();
  let problem: { code?: unknown; detail?: unknown; details?: unknown } = {};
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === "object" && parsed !== null) problem = parsed;
  } catch {
    // Some proxy's page: the status is all there is.
  }
  const { code, detail, details } = problem;
  const known = typeof code === "string" && Object.hasOwn(STATUS, code) ? (code as ErrorCode) : "internal";
  const remedy = response.status === 503 || response.status === 504 ? "retry" : "user";
  const message = typeof detail === "string" ? detail : `${response.url} answered ${response.status}`;
  return new KeyfoldError(known, message, {
    remedy,
    details: { ...(typeof details === "object" ? details : {}), status: response.status },
  });
}

async function* linesOf(response: Response): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of response.body ?? []) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
  if (rest !== "") yield rest;
}
