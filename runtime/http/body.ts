import type { IncomingMessage } from "node:http";
import { KeyfoldError } from "../errors.ts";
import type { HttpContext } from "./target.ts";

/** A body that has begun must be complete after so many ms. Idle connections are the server's to end. */
const BODY_DEADLINE_MS = 30_000;
const EMPTY = Buffer.alloc(0);

/** The whole body, at most `limit` bytes of it. */
export function readBody(c: HttpContext, limit: number): Promise<Buffer> {
  const incoming = c.env?.incoming;
  return incoming === undefined ? readWeb(c.req.raw.body, limit) : readIncoming(incoming, limit);
}

/** The body piece by piece: the sender is held back while a piece is worked on. */
export function bodyChunks(c: HttpContext): AsyncIterable<Uint8Array> {
  const incoming = c.env?.incoming;
  // Destroying the request would take the connection along, and with it the answer that says what is wrong.
  return incoming === undefined ? (c.req.raw.body ?? nothing()) : incoming.iterator({ destroyOnReturn: false });
}

// One promise and no stream per request: most bodies are one small chunk that is there already.
export function readIncoming(incoming: IncomingMessage, limit: number): Promise<Buffer> {
  const declared = incoming.headers["content-length"];
  const length = declared === undefined ? -1 : Number(declared);
  if (length > limit) return Promise.reject(tooLarge(limit, length));
  if (incoming.readableEnded) return Promise.resolve(EMPTY);
  return new Promise((resolve, reject) => {
    let first: Buffer | undefined;
    let rest: Buffer[] | undefined;
    let size = 0;
    let deadline: NodeJS.Timeout | undefined;
    const done = (): void => {
      clearTimeout(deadline);
      incoming.off("data", data);
      incoming.off("end", end);
      incoming.off("close", gone);
      incoming.off("error", gone);
    };
    const data = (chunk: Buffer): void => {
      size += chunk.length;
      if (first === undefined) first = chunk;
      else (rest ??= [first]).push(chunk);
      if (size > limit) {
        done();
        incoming.pause();
        reject(tooLarge(limit, undefined));
      } else if (size !== length) deadline ??= setTimeout(late, BODY_DEADLINE_MS);
    };
    const end = (): void => {
      done();
      resolve(rest === undefined ? (first ?? EMPTY) : Buffer.concat(rest, size));
    };
    const gone = (): void => {
      done();
      reject(new KeyfoldError("bad-request", "the connection ended before the body was complete"));
    };
    const late = (): void => {
      done();
      reject(new KeyfoldError("timeout", `the body was not complete ${BODY_DEADLINE_MS} ms after it began`));
    };
    incoming.on("data", data);
    incoming.on("end", end);
    incoming.on("close", gone);
    incoming.on("error", gone);
    if (incoming.destroyed) gone();
  });
}

async function readWeb(body: ReadableStream<Uint8Array> | null, limit: number): Promise<Buffer> {
  if (body === null) return EMPTY;
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > limit) throw tooLarge(limit, undefined);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size);
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

function tooLarge(limit: number, size: number | undefined): KeyfoldError {
  return new KeyfoldError(
    "body-too-large",
    `the body has ${size === undefined ? "more than " : ""}${size ?? limit} bytes, the limit is ${limit} (setting limits["body.max.bytes"])`,
    {
      details: { setting: "body.max.bytes", limit, ...(size === undefined ? {} : { value: size }) },
    },
  );
}
