import { type ErrorCode, KeyfoldError } from "../../errors.ts";

export interface HostUrls {
  /** Public listener. */
  readonly url: string;
  /** Internal listener. */
  readonly internalUrl: string;
  /** Bearer token, where the host asks for one. */
  readonly token?: string;
}

export type Audience = "public" | "internal";

/** Talks to a running host over its HTTP API. */
export class HostClient {
  readonly #urls: HostUrls;

  constructor(urls: HostUrls) {
    this.#urls = urls;
  }

  /**
   * JSON of a GET.
   * @throws KeyfoldError the host's own error, by its code; `host-unreachable` when none answers.
   */
  async get<T>(audience: Audience, path: string): Promise<T> {
    const response = await this.#fetch(audience, path, "application/json");
    const json = parse(await response.text());
    if (json === undefined) throw notKeyfold(this.#base(audience));
    return json as T;
  }

  /** NDJSON of a GET, line by line, for as long as it comes. Errors as `get`, and those the host sends on the way. */
  async *lines<T>(audience: Audience, path: string, signal: AbortSignal): AsyncGenerator<T> {
    const response = await this.#fetch(audience, path, "application/x-ndjson", signal);
    let rest = "";
    const decoder = new TextDecoder();
    try {
      for await (const chunk of response.body ?? []) {
        const lines = (rest + decoder.decode(chunk as Uint8Array, { stream: true })).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) if (line !== "") yield element<T>(line);
      }
    } catch (cause) {
      if (cause instanceof KeyfoldError || signal.aborted) throw cause;
      throw new KeyfoldError(
        "host-unreachable",
        `the host at ${this.#base(audience)} ended the stream: it has stopped, or the connection broke`,
        { cause, remedy: "retry" },
      );
    }
    if (rest !== "") yield element<T>(rest);
  }

  #base(audience: Audience): string {
    return audience === "public" ? this.#urls.url : this.#urls.internalUrl;
  }

  async #fetch(audience: Audience, path: string, accept: string, signal?: AbortSignal): Promise<Response> {
    const base = this.#base(audience);
    const url = new URL(path, base.endsWith("/") ? base : `${base}/`);
    let response: Response;
    try {
      response = await fetch(url, {
        headers: { accept, ...(this.#urls.token === undefined ? {} : { authorization: `Bearer ${this.#urls.token}` }) },
        ...(signal === undefined ? {} : { signal }),
      });
    } catch (cause) {
      if (signal?.aborted) throw cause;
      throw unreachable(base, audience, cause);
    }
    if (!response.ok) throw problem(response.status, parse(await response.text()), url);
    return response;
  }
}

/** One line of a stream; an error takes the place of what would have followed. */
function element<T>(line: string): T {
  const json = parse(line);
  if (typeof json === "object" && json !== null && "error" in json && !("topic" in json)) {
    const { code, detail } = json.error as { code: ErrorCode; detail: string };
    throw new KeyfoldError(code, detail);
  }
  return json as T;
}

function unreachable(base: string, audience: Audience, cause: unknown): KeyfoldError {
  const reason =
    cause instanceof Error && cause.cause instanceof Error ? cause.cause.message || (cause.cause as NodeJS.ErrnoException).code : undefined;
  const option = audience === "public" ? "--url (or KEYFOLD_URL)" : "--internal-url (or KEYFOLD_INTERNAL_URL)";
  return new KeyfoldError(
    "host-unreachable",
    `no host answers at ${base}${reason === undefined ? "" : ` (${reason})`}\nStart one with \`keyfold dev\` or \`keyfold start\`, or say where it is with ${option}.`,
    { cause, remedy: "retry", details: { url: base } },
  );
}

function notKeyfold(base: string): KeyfoldError {
  return new KeyfoldError("host-unreachable", `what answers at ${base} is not a keyfold host`, { details: { url: base } });
}

/** A problem document (RFC 9457) as the error it was made from. */
function problem(status: number, json: unknown, url: URL): KeyfoldError {
  if (typeof json !== "object" || json === null || !("code" in json) || typeof json.code !== "string") {
    return status === 404 || status === 405
      ? notKeyfold(url.origin)
      : new KeyfoldError("internal", `the host answered ${status} to ${url.pathname}`, { remedy: "fatal", details: { status } });
  }
  const { code, detail, details } = json as { code: ErrorCode; detail?: unknown; details?: Record<string, unknown> };
  return new KeyfoldError(code, typeof detail === "string" ? detail : `the host answered ${status}`, { details: { status, ...details } });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
