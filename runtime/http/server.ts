import { createServer, type Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { getRequestListener } from "@hono/node-server";
import { KeyfoldError } from "../errors.ts";
import { DirectConnections, type DirectRoute } from "./direct-connection.ts";
import { isLoopback } from "./loopback.ts";
import { ignore, PROBLEM_TYPE, problemOf, problemResponse } from "./problem.ts";
import type { Bindings } from "./target.ts";

/** Time a client gets to send the whole head, ms: one that drips header bytes holds a connection no longer. */
const HEADERS_TIMEOUT_MS = 15_000;
/** An idle connection is kept so long, ms; longer than common proxies keep theirs, so that they end it, not we under their request. */
const KEEP_ALIVE_MS = 75_000;
/** A connection on which nothing moves, in the middle of a request, is ended after the longest wait a request may ask for and this. */
const STALLED_MS = 90_000;
const MAX_HEADER_BYTES = 16 * 1024;
const DRAIN_POLL_MS = 25;

/** What a listener serves. */
export interface HttpApp {
  readonly fetch: (request: Request, env: Bindings) => Response | Promise<Response>;
  /** A short cut for its hottest request. */
  readonly direct?: DirectRoute;
  /** Longest time a request may rightly stay silent, ms. */
  readonly longestWaitMs: number;
  /** Ends what would else never end: live streams. */
  readonly endStreams: () => void;
}

export interface ListenOptions {
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  /** The flag that sets the port, for the error when it is taken. Default `--port`. */
  readonly flag?: string;
  /** Refuse to bind to anything but loopback: what is served there trusts whoever reaches it. Default false. */
  readonly loopbackOnly?: boolean;
  /** Requests wait for this: the port is taken before there is anything to answer with. It may stay open for ever, not reject. */
  readonly ready?: Promise<void>;
}

export interface Listening {
  readonly url: string;
  readonly port: number;
  /** Stops accepting, ends streams, lets requests under way finish for `graceMs` (default 5 000), then cuts the rest. Twice is harmless. */
  close(graceMs?: number): Promise<void>;
}

export async function listen(app: HttpApp, options: ListenOptions): Promise<Listening> {
  const { host, port, flag = "--port" } = options;
  if (options.loopbackOnly === true && !isLoopback(host)) {
    throw new KeyfoldError(
      "config-invalid",
      `the internal listener would be open on ${host}, where anybody who reaches it could deploy code; bind it to 127.0.0.1 (http.internalHost), or set tokens`,
      { details: { host } },
    );
  }
  let { ready } = options;
  void ready?.then(() => (ready = undefined));
  const server = createServer(
    {
      keepAliveTimeout: KEEP_ALIVE_MS,
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: 0,
      maxHeaderSize: MAX_HEADER_BYTES,
      connectionsCheckingInterval: 2_000,
      noDelay: true,
      // Refused below, with a problem document.
      requireHostHeader: false,
    },
    getRequestListener(
      (request, env) => {
        const answer = () => fetch(app, request, env as Bindings);
        return ready === undefined ? answer() : ready.then(answer);
      },
      { hostname: host, errorHandler: badRequest },
    ) as (...args: unknown[]) => void,
  );
  // An expectation other than 100-continue is not met, nor is it a reason to refuse (RFC 9110, 10.1.1).
  server.on("checkExpectation", (request, response) => server.emit("request", request, response));
  server.setTimeout(app.longestWaitMs + STALLED_MS);
  server.on("clientError", refuse);
  const direct = app.direct === undefined ? undefined : takeDirect(server, app.direct, () => ready === undefined);
  await bind(server, host, port, flag);
  const address = server.address() as AddressInfo;
  let closing: Promise<void> | undefined;
  return {
    url: `http://${address.family === "IPv6" ? `[${address.address}]` : address.address}:${address.port}`,
    port: address.port,
    close: (graceMs = 5_000) => (closing ??= closeServer(server, app, direct, graceMs)),
  };
}

/** Puts the short cut before Node's own handling of connections, which gets every connection the short cut is not for, and all until it is open. */
function takeDirect(server: Server, route: DirectRoute, open: () => boolean): DirectConnections {
  const serve = server.listeners("connection") as ((this: Server, socket: Socket) => void)[];
  server.removeAllListeners("connection");
  const handOver = (socket: Socket): void => {
    for (const listener of serve) listener.call(server, socket);
  };
  const direct = new DirectConnections({ route, keepAliveMs: KEEP_ALIVE_MS, handOver });
  server.on("connection", (socket: Socket) => (open() ? direct.accept(socket) : handOver(socket)));
  return direct;
}

function bind(server: Server, host: string, port: number, flag: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      if (cause.code === "EADDRINUSE") {
        reject(
          new KeyfoldError(
            "port-in-use",
            `port ${port} on ${host} is in use by another process; choose another with ${flag}, or ${flag} 0 for any free one`,
            { cause, details: { port, host, flag } },
          ),
        );
      } else if (cause.code === "EACCES") {
        reject(
          new KeyfoldError(
            "config-invalid",
            `no permission to listen on ${host}:${port}; ports below 1024 need privileges, choose another with ${flag}`,
            { cause, details: { port, host, flag } },
          ),
        );
      } else
        reject(
          new KeyfoldError("config-invalid", `cannot listen on ${host}:${port}: ${cause.message}`, {
            cause,
            details: { port, host, flag },
          }),
        );
    });
    server.listen({ host, port, backlog: 1024 }, () => {
      server.removeAllListeners("error");
      resolve();
    });
  });
}

async function closeServer(server: Server, app: HttpApp, direct: DirectConnections | undefined, graceMs: number): Promise<void> {
  app.endStreams();
  direct?.close();
  const closed = new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  // A connection becomes idle when its request is answered, and is not closed by itself then.
  const idle = setInterval(() => server.closeIdleConnections(), DRAIN_POLL_MS);
  const cut = setTimeout(() => {
    direct?.destroy();
    server.closeAllConnections();
  }, graceMs);
  await closed;
  clearInterval(idle);
  clearTimeout(cut);
}

function fetch(app: HttpApp, request: Request, env: Bindings): Response | Promise<Response> {
  const { incoming } = env;
  if (incoming !== undefined && incoming.headers.host === undefined && incoming.httpVersion === "1.1")
    return badRequest(new Error("HTTP/1.1 requests have a Host header"));
  return app.fetch(request, env);
}

/** What the adapter could not make a request of: a bad Host header, a bad target. */
function badRequest(thrown: unknown): Response {
  const reason = thrown instanceof Error ? thrown.message : "it cannot be understood";
  return problemResponse(problemOf(new KeyfoldError("bad-request", `the request is not valid: ${reason}`), "/", ignore));
}

/** What Node could not parse, or would not wait for: answered in the same form as everything else, then cut. */
function refuse(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || error.code === "ECONNRESET") {
    socket.destroy();
    return;
  }
  const [line, problem] =
    error.code === "HPE_HEADER_OVERFLOW"
      ? [
          "431 Request Header Fields Too Large",
          new KeyfoldError("limit-exceeded", `the request's head has more than ${MAX_HEADER_BYTES} bytes`),
        ]
      : error.code === "ERR_HTTP_REQUEST_TIMEOUT"
        ? ["408 Request Timeout", new KeyfoldError("timeout", `the request's head was not complete after ${HEADERS_TIMEOUT_MS} ms`)]
        : ["400 Bad Request", new KeyfoldError("bad-request", "the request is not valid HTTP/1.1")];
  const { body } = problemOf(problem, "/", ignore);
  const status = Number(line.slice(0, 3));
  const text = JSON.stringify({ ...(JSON.parse(body) as object), status });
  socket.end(
    `HTTP/1.1 ${line}\r\ncontent-type: ${PROBLEM_TYPE}\r\ncontent-length: ${Buffer.byteLength(text)}\r\nconnection: close\r\n\r\n${text}`,
  );
}
