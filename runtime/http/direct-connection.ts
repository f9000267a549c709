import { STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import { type DirectHead, DirectHeadReader } from "./direct-head.ts";
import { JSON_TYPE } from "./media.ts";
import type { Problem } from "./problem.ts";

/** The app's short cut for its hottest requests; it answers exactly as `fetch` would. */
export interface DirectRoute {
  readonly maxBodyBytes: number;
  /** Never rejects; a string is the JSON text of a 200. */
  readonly answer: (head: DirectHead, body: Buffer) => Promise<string | Problem>;
}

export interface DirectOptions {
  readonly route: DirectRoute;
  readonly keepAliveMs: number;
  /** Gives a connection, with what was read of it put back, to Node's HTTP server for good. */
  readonly handOver: (socket: Socket) => void;
}

/**
 * Connections whose requests are plain invokes and appends, one after another, are served here, without Node's HTTP parser, the adapter and the router:
 * half of what such a request costs. The first request that is anything else, or does not arrive in one piece, takes its connection to
 * Node's HTTP server, where everything is served, these too.
 */
export class DirectConnections {
  readonly #options: DirectOptions;
  readonly #open = new Set<DirectConnection>();
  #closing = false;
  #second = 0;
  #heads = { ok: "", date: "" };

  constructor(options: DirectOptions) {
    this.#options = options;
  }

  accept(socket: Socket): void {
    const connection = new DirectConnection(socket, this.#options, {
      head: (answer) => this.#head(answer),
      closing: () => this.#closing,
      gone: () => this.#open.delete(connection),
    });
    this.#open.add(connection);
  }

  /** Ends idle connections; those with a request under way end after its answer. */
  close(): void {
    this.#closing = true;
    this.#second = 0;
    for (const connection of [...this.#open]) connection.endIfIdle();
  }

  destroy(): void {
    for (const connection of [...this.#open]) connection.destroy();
  }

  /** Status line and headers as Node writes them, up to the length's value; made anew each second, for the date. */
  #head(answer: string | Problem): string {
    const second = Math.floor(Date.now() / 1000);
    if (second !== this.#second) {
      this.#second = second;
      const life = this.#closing
        ? "Connection: close"
        : `Connection: keep-alive\r\nKeep-Alive: timeout=${Math.floor(this.#options.keepAliveMs / 1000)}`;
      const date = `Date: ${new Date(second * 1000).toUTCString()}\r\n${life}\r\nContent-Length: `;
      this.#heads = { date, ok: `HTTP/1.1 200 OK\r\ncontent-type: ${JSON_TYPE}\r\n${date}` };
    }
    if (typeof answer === "string") return this.#heads.ok;
    const headers = Object.entries(answer.headers).map(([name, value]) => `${name}: ${value}\r\n`);
    return `HTTP/1.1 ${answer.status} ${STATUS_CODES[answer.status] ?? ""}\r\n${headers.join("")}${this.#heads.date}`;
  }
}

interface Owner {
  readonly head: (answer: string | Problem) => string;
  readonly closing: () => boolean;
  readonly gone: () => void;
}

class DirectConnection {
  readonly #socket: Socket;
  readonly #options: DirectOptions;
  readonly #owner: Owner;
  readonly #reader = new DirectHeadReader();
  #busy = false;
  /** Its answer is written, but the client has not taken enough of it. */
  #draining = false;
  /** The client has sent all it will. */
  #ended = false;
  /** Came before the answer to what came before it. */
  #rest: Buffer | undefined;

  constructor(socket: Socket, options: DirectOptions, owner: Owner) {
    this.#socket = socket;
    this.#options = options;
    this.#owner = owner;
    socket.on("data", this.#data);
    socket.on("end", this.#end);
    socket.on("close", this.#close);
    socket.on("error", this.#ignore);
    socket.on("timeout", this.#timeout);
    socket.setTimeout(options.keepAliveMs);
  }

  endIfIdle(): void {
    if (!this.#busy) this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  readonly #data = (chunk: Buffer): void => {
    if (this.#busy) {
      this.#rest = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk]);
      this.#socket.pause();
      return;
    }
    const head = this.#reader.read(chunk);
    const end = head === undefined ? 0 : head.bodyStart + head.bodyLength;
    if (head === undefined || end > chunk.length || head.bodyLength > this.#options.route.maxBodyBytes) {
      this.#leave(chunk);
      return;
    }
    this.#busy = true;
    if (end < chunk.length) {
      this.#rest = chunk.subarray(end);
      this.#socket.pause();
    }
    void this.#options.route.answer(head, chunk.subarray(head.bodyStart, end)).then(this.#answered);
  };

  readonly #answered = (answer: string | Problem): void => {
    const socket = this.#socket;
    if (!socket.writable) {
      this.#busy = false;
      return;
    }
    const body = typeof answer === "string" ? answer : answer.body;
    if (socket.write(`${this.#owner.head(answer)}${Buffer.byteLength(body)}\r\n\r\n${body}`)) this.#next();
    else {
      // A client that asks and does not read gets no further answers made for it.
      this.#draining = true;
      socket.pause();
      socket.once("drain", this.#next);
    }
  };

  readonly #next = (): void => {
    const socket = this.#socket;
    const rest = this.#rest;
    const paused = this.#draining || rest !== undefined;
    this.#busy = false;
    this.#draining = false;
    this.#rest = undefined;
    if (rest === undefined && (this.#ended || this.#owner.closing())) {
      socket.end();
      return;
    }
    if (paused) socket.resume();
    if (rest !== undefined) this.#data(rest);
  };

  #leave(chunk: Buffer): void {
    const socket = this.#socket;
    this.#detach();
    socket.pause();
    socket.unshift(chunk);
    this.#options.handOver(socket);
    socket.resume();
  }

  #detach(): void {
    const socket = this.#socket;
    socket.off("data", this.#data);
    socket.off("end", this.#end);
    socket.off("close", this.#close);
    socket.off("error", this.#ignore);
    socket.off("timeout", this.#timeout);
    socket.setTimeout(0);
    this.#owner.gone();
  }

  readonly #end = (): void => {
    this.#ended = true;
    if (!this.#busy) this.#socket.end();
  };

  readonly #close = (): void => this.#owner.gone();

  readonly #timeout = (): void => {
    if (!this.#busy || this.#draining) this.#socket.destroy();
  };

  readonly #ignore = (): void => {};
}
