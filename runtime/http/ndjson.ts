import { KeyfoldError } from "../errors.ts";
import type { HostApi, InputRecord } from "../host/api.ts";
import { parseLine } from "./records.ts";

/** A body, piece by piece. */
export type Chunks = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/** Most bytes of lines in one append. */
const CHUNK_BYTES = 1024 * 1024;
const NEWLINE = 0x0a;

/**
 * Appends a body of one record a line as it arrives: what has come is appended while the sender is held back. Resolves to the JSON
 * text of the answer. When a line is wrong everything before it has been appended, and the error says so.
 */
export async function appendLines(host: HostApi, topic: string, chunks: Chunks): Promise<string> {
  const lines = new LineAppender(host, topic);
  try {
    for await (const chunk of chunks) await lines.take(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    await lines.end();
  } catch (thrown) {
    throw await lines.failed(thrown);
  }
  return lines.answer();
}

class LineAppender {
  readonly #host: HostApi;
  readonly #topic: string;
  readonly #last = new Map<number, number>();
  /** A line that goes on in the next chunk. */
  #begun: Buffer[] = [];
  #begunBytes = 0;
  #batch: InputRecord[] = [];
  #batchBytes = 0;
  #line = 0;
  #appended = 0;

  constructor(host: HostApi, topic: string) {
    this.#host = host;
    this.#topic = topic;
  }

  async take(chunk: Buffer): Promise<void> {
    const { limits } = this.#host.config;
    let from = 0;
    for (let to = chunk.indexOf(NEWLINE); to !== -1; to = chunk.indexOf(NEWLINE, from)) {
      const piece = chunk.subarray(from, to);
      from = to + 1;
      this.#add(this.#joined(piece));
      if (this.#batch.length >= limits["batch.max.records"] || this.#batchBytes >= CHUNK_BYTES) await this.#append();
    }
    if (from < chunk.length) {
      this.#begun.push(chunk.subarray(from));
      this.#begunBytes += chunk.length - from;
      this.#check(this.#begunBytes, this.#line + 1);
    }
    await this.#append();
  }

  /** The last line may lack its newline. */
  async end(): Promise<void> {
    if (this.#begunBytes > 0) this.#add(this.#joined(Buffer.alloc(0)));
    await this.#append();
  }

  answer(): string {
    return JSON.stringify({ records: this.#appended, positions: this.#positions() });
  }

  /** The error to answer with, once the good lines before it are appended too. */
  async failed(thrown: unknown): Promise<KeyfoldError> {
    let error = asRefusal(thrown);
    const line = error.message.startsWith("line ") ? { line: this.#line } : {};
    try {
      await this.#append();
    } catch (second) {
      error = KeyfoldError.from(second);
    }
    const positions = this.#positions();
    return new KeyfoldError(
      error.code,
      `${error.message}; ${this.#appended} record${this.#appended === 1 ? " was" : "s were"} appended before it`,
      {
        remedy: error.remedy,
        cause: error,
        details: { ...error.details, ...line, records: this.#appended, positions },
      },
    );
  }

  #add(line: Buffer): void {
    this.#line++;
    const end = line.at(-1) === 0x0d ? line.length - 1 : line.length;
    if (end === 0) return;
    this.#check(end, this.#line);
    this.#batch.push(parseLine(line.subarray(0, end), this.#host.config.limits, `line ${this.#line}`));
    this.#batchBytes += end;
  }

  #joined(piece: Buffer): Buffer {
    if (this.#begunBytes === 0) return piece;
    const line = Buffer.concat([...this.#begun, piece], this.#begunBytes + piece.length);
    this.#begun = [];
    this.#begunBytes = 0;
    return line;
  }

  #check(bytes: number, line: number): void {
    const limit = this.#host.config.limits["body.max.bytes"];
    if (bytes <= limit) return;
    this.#line = line;
    throw new KeyfoldError(
      "body-too-large",
      `line ${line}: it has more than ${limit} bytes, the limit of a line (setting limits["body.max.bytes"])`,
      {
        details: { setting: "body.max.bytes", limit },
      },
    );
  }

  async #append(): Promise<void> {
    if (this.#batch.length === 0) return;
    const batch = this.#batch;
    // Taken out first: a batch whose append failed may have got there, and is not sent twice.
    this.#batch = [];
    this.#batchBytes = 0;
    const positions = await this.#host.append(this.#topic, batch);
    this.#appended += batch.length;
    for (const { partition, offset } of positions) this.#last.set(partition, offset);
  }

  #positions(): { partition: number; offset: number }[] {
    return [...this.#last].map(([partition, offset]) => ({ partition, offset })).sort((a, b) => a.partition - b.partition);
  }
}

/** An aborted upload is the sender's doing, not a fault of ours. */
function asRefusal(thrown: unknown): KeyfoldError {
  if (thrown instanceof KeyfoldError) return thrown;
  const code = (thrown as { code?: unknown } | null)?.code;
  if (code === "ECONNRESET" || code === "ERR_STREAM_PREMATURE_CLOSE" || (thrown instanceof Error && thrown.message === "aborted")) {
    return new KeyfoldError("bad-request", "the connection ended before the body was complete", { cause: thrown });
  }
  return KeyfoldError.from(thrown);
}
