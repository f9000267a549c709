import { KeyfoldError } from "../errors.ts";

/** Bytes on their way to one client before it counts as slow. */
const WINDOW_BYTES = 64 * 1024;
/** What is kept for a slow client, one change a key; beyond it the client is dropped. */
const PENDING_BYTES = 1024 * 1024;
const DEFAULT_HEARTBEAT_MS = 15_000;

export interface LiveClientsOptions {
  /** `live.max.clients` */
  readonly limit: number;
  /** Time between heartbeat comments, ms. Default 15 000. */
  readonly heartbeatMs?: number;
}

/**
 * Open streams of server-sent events. A client that reads too slowly gets the last change of each key instead of every
 * change, and is dropped when even those would take more than a megabyte: browsers then reconnect by themselves.
 */
export class LiveClients {
  readonly #limit: number;
  readonly #heartbeatMs: number;
  readonly #clients = new Set<LiveClient>();
  #timer: NodeJS.Timeout | undefined;
  #closed = false;
  /** Streams ended because their client was too slow. */
  dropped = 0;

  constructor(options: LiveClientsOptions) {
    this.#limit = options.limit;
    this.#heartbeatMs = options.heartbeatMs ?? DEFAULT_HEARTBEAT_MS;
  }

  get size(): number {
    return this.#clients.size;
  }

  /** Answers with a stream of what `subscribe` delivers; `cut` ends the client's connection. */
  open(subscribe: (listener: (json: string) => void) => () => void, cut: () => void = () => {}): Response {
    if (this.#closed) throw new KeyfoldError("not-ready", "the host stops", { remedy: "retry" });
    if (this.#clients.size >= this.#limit) {
      throw new KeyfoldError(
        "limit-exceeded",
        `${this.#clients.size} live streams are open, the limit is ${this.#limit} (setting limits["live.max.clients"])`,
        {
          remedy: "retry",
          details: { setting: "live.max.clients", limit: this.#limit, value: this.#clients.size },
        },
      );
    }
    const client = new LiveClient((slow) => {
      if (!this.#clients.delete(client)) return;
      if (slow) {
        this.dropped++;
        cut();
      }
      if (this.#clients.size === 0) this.#rest();
    });
    client.unsubscribe = subscribe(client.send);
    this.#clients.add(client);
    this.#timer ??= setInterval(() => {
      for (const each of this.#clients) each.heartbeat();
    }, this.#heartbeatMs).unref();
    return new Response(client.stream, { headers: LIVE_HEADERS });
  }

  /** Ends all streams; none can be opened any more. */
  close(): void {
    this.#closed = true;
    for (const client of [...this.#clients]) client.end(false);
    this.#rest();
  }

  #rest(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

export const LIVE_HEADERS = { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-store", "x-accel-buffering": "no" };

class LiveClient {
  readonly stream: ReadableStream<Uint8Array>;
  unsubscribe: () => void = () => {};
  readonly #ended: (slow: boolean) => void;
  readonly #pending = new Map<string, Buffer>();
  #pendingBytes = 0;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;

  constructor(ended: (slow: boolean) => void) {
    this.#ended = ended;
    this.stream = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
          controller.enqueue(Buffer.from("retry: 1000\n: live\n\n"));
        },
        pull: () => this.#flush(),
        cancel: () => this.end(false),
      },
      new ByteLengthQueuingStrategy({ highWaterMark: WINDOW_BYTES }),
    );
  }

  readonly send = (json: string): void => {
    const controller = this.#controller;
    if (controller === undefined) return;
    // Texts from the engine are one line; a custom encoder's may not be.
    const event = Buffer.from(`data: ${json.includes("\n") ? json.replaceAll("\n", "\ndata: ") : json}\n\n`);
    if (this.#pending.size === 0 && (controller.desiredSize ?? 0) > 0) {
      controller.enqueue(event);
      return;
    }
    const key = keyOf(json);
    this.#pendingBytes += event.length - (this.#pending.get(key)?.length ?? 0);
    this.#pending.delete(key);
    this.#pending.set(key, event);
    if (this.#pendingBytes > PENDING_BYTES) this.end(true);
  };

  heartbeat(): void {
    const controller = this.#controller;
    if (controller !== undefined && (controller.desiredSize ?? 0) > 0) controller.enqueue(Buffer.from(":\n\n"));
  }

  end(slow: boolean): void {
    const controller = this.#controller;
    if (controller === undefined) return;
    this.#controller = undefined;
    this.#pending.clear();
    this.unsubscribe();
    this.#ended(slow);
    try {
      controller.close();
    } catch {
      // Cancelled by the client: closed already.
    }
  }

  #flush(): void {
    const controller = this.#controller;
    if (controller === undefined) return;
    for (const [key, event] of this.#pending) {
      if ((controller.desiredSize ?? 0) <= 0) return;
      this.#pending.delete(key);
      this.#pendingBytes -= event.length;
      controller.enqueue(event);
    }
  }
}

/** The key's JSON text in `{"key":"...",...}`; without one, changes replace one another. */
function keyOf(json: string): string {
  if (!json.startsWith('{"key":"')) return "";
  for (let i = 8; i < json.length; i++) {
    const c = json.charCodeAt(i);
    if (c === 0x5c) i++;
    else if (c === 0x22) return json.slice(8, i);
  }
  return "";
}
