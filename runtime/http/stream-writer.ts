const WINDOW_BYTES = 256 * 1024;

/** A response body written to piece by piece, at the pace of its reader. */
export class StreamWriter {
  readonly stream: ReadableStream<Uint8Array>;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #room: (() => void) | undefined;
  readonly #ended = new AbortController();

  constructor() {
    this.stream = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () => this.#wake(),
        cancel: () => this.end(),
      },
      new ByteLengthQueuingStrategy({ highWaterMark: WINDOW_BYTES }),
    );
  }

  /** Aborted when the reader has gone, or after `end`. */
  get signal(): AbortSignal {
    return this.#ended.signal;
  }

  /** Resolves when there is room for more. */
  async write(text: string): Promise<void> {
    this.#controller?.enqueue(Buffer.from(text));
    while (this.#controller !== undefined && (this.#controller.desiredSize ?? 0) <= 0) {
      await new Promise<void>((resolve) => {
        const others = this.#room;
        this.#room = () => {
          others?.();
          resolve();
        };
      });
    }
  }

  end(): void {
    const controller = this.#controller;
    if (controller === undefined) return;
    this.#controller = undefined;
    this.#ended.abort();
    this.#wake();
    try {
      controller.close();
    } catch {
      // Cancelled by the reader: closed already.
    }
  }

  #wake(): void {
    const room = this.#room;
    this.#room = undefined;
    room?.();
  }
}
