import type { MessagePort, Transferable, Worker } from "node:worker_threads";

/** A MessagePort or a Worker. */
type PortLike = MessagePort | Worker;

const LAZY_MS = 2;

/**
 * A MessagePort that sends one array a turn: a post costs about 25 µs, so the many small messages of a busy turn share one.
 */
export class BatchingPort<Out, In> {
  readonly #port: PortLike;
  #out: Out[] = [];
  #transfer: Transferable[] = [];
  #scheduled = false;
  #lazy: NodeJS.Timeout | undefined;

  constructor(port: PortLike, receive: (message: In) => void) {
    this.#port = port;
    port.on("message", (messages: In[]) => {
      for (const message of messages) receive(message);
    });
  }

  /** As `send`, but does not wake the other side for it: it goes with the next message, or within a few milliseconds. */
  sendLazily(message: Out): void {
    this.#out.push(message);
    if (!this.#scheduled) this.#lazy ??= setTimeout(() => this.flush(), LAZY_MS);
  }

  send(message: Out, transfer?: readonly Transferable[]): void {
    this.#out.push(message);
    if (transfer !== undefined) this.#transfer.push(...transfer);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.flush());
  }

  flush(): void {
    this.#scheduled = false;
    if (this.#lazy !== undefined) {
      clearTimeout(this.#lazy);
      this.#lazy = undefined;
    }
    if (this.#out.length === 0) return;
    const out = this.#out;
    const transfer = this.#transfer;
    this.#out = [];
    this.#transfer = [];
    this.#port.postMessage(out, transfer);
  }
}
