/** The head of a request that the direct way may serve: an invoke or an append, in the plainest HTTP/1.1. What is not understood to the letter is none. */
export interface DirectHead {
  readonly path: string;
  readonly query: string;
  readonly contentType: string | undefined;
  /** Where the body begins in the chunk. */
  readonly bodyStart: number;
  readonly bodyLength: number;
}

const MAX_HEAD_BYTES = 8 * 1024;

interface HeaderBlock {
  readonly text: string;
  readonly contentType: string | undefined;
  readonly length: number;
}

/** What a path segment and a query may have unencoded; no quotes, brackets, backslashes, nothing beyond ASCII. */
const SEGMENT = "[!$%&'()*+,\\-.0-9:;=@A-Z_a-z~]+";
const REQUEST_LINE = new RegExp(
  `^POST (/v1/functions/${SEGMENT}/keys/${SEGMENT}|/v1/topics/${SEGMENT}/records)(?:\\?([!$%&'()*+,\\-./0-9:;=?@A-Z_a-z~]*))? HTTP/1\\.1$`,
);
const HEADER = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\x20-\x7e]*?)[ \t]*$/;
/** Headers that change nothing of what is done, nor of how it is framed. */
const HARMLESS =
  /^(?:accept|accept-charset|accept-encoding|accept-language|cache-control|cookie|dnt|forwarded|from|pragma|priority|referer|traceparent|tracestate|user-agent|via|sec-[a-z-]+|x-[a-z0-9-]+)$/;
/** Hosts the adapter, too, takes without a second look. */
const HOST = /^[a-z0-9._-]+(?::[1-5]\d{3,4}|:[6-9]\d{3}|:6[0-4]\d{3})?$/;
const LENGTH = /^\d{1,9}$/;

/** Reads heads of one connection. Clients send the same headers again and again: a block seen just before is not taken apart twice. */
export class DirectHeadReader {
  #seen: HeaderBlock = { text: "", contentType: undefined, length: -1 };

  /** Undefined: not for the direct way, or not complete. */
  read(chunk: Buffer): DirectHead | undefined {
    // "POST" first, so that other requests cost next to nothing here.
    if (chunk[0] !== 0x50) return undefined;
    const text = chunk.toString("latin1", 0, MAX_HEAD_BYTES);
    const lineEnd = text.indexOf("\r\n");
    const end = text.indexOf("\r\n\r\n", lineEnd);
    if (lineEnd === -1 || end === -1) return undefined;
    const line = REQUEST_LINE.exec(text.slice(0, lineEnd));
    if (line === null) return undefined;
    const block = text.slice(lineEnd + 2, end);
    if (block !== this.#seen.text) {
      const read = readHeaders(block);
      if (read === undefined) return undefined;
      this.#seen = read;
    }
    return {
      path: line[1] ?? "",
      query: line[2] ?? "",
      contentType: this.#seen.contentType,
      bodyStart: end + 4,
      bodyLength: this.#seen.length,
    };
  }
}

function readHeaders(text: string): HeaderBlock | undefined {
  let hosts = 0;
  let contentType: string | undefined;
  let length = -1;
  let isPage = false;
  for (const line of text.split("\r\n")) {
    const parts = HEADER.exec(line);
    if (parts === null) return undefined;
    const name = (parts[1] ?? "").toLowerCase();
    const value = parts[2] ?? "";
    switch (name) {
      case "host":
        if (++hosts > 1 || !HOST.test(value)) return undefined;
        break;
      case "content-length":
        if (length !== -1 || !LENGTH.test(value)) return undefined;
        length = Number(value);
        break;
      case "content-type":
        if (contentType !== undefined) return undefined;
        contentType = value;
        break;
      case "connection":
        if (value.toLowerCase() !== "keep-alive") return undefined;
        break;
      case "origin":
        isPage = true;
        break;
      default:
        if (!HARMLESS.test(name)) return undefined;
    }
  }
  // What a web page sends without a type is looked at more closely elsewhere.
  if (isPage && contentType === undefined) return undefined;
  return hosts === 1 && length >= 0 ? { text, contentType, length } : undefined;
}
