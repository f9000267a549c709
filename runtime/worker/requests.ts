import { type ErrorWire, KeyfoldError } from "../errors.ts";

/** Requests one side of a port has under way, by number. */
export class Requests {
  #next = 1;
  readonly #open = new Map<number, { resolve: (value: unknown) => void; reject: (error: unknown) => void }>();

  get size(): number {
    return this.#open.size;
  }

  /** `send` gets the number the answer will carry. */
  ask<T>(send: (request: number) => void): Promise<T> {
    const request = this.#next++;
    return new Promise<T>((resolve, reject) => {
      this.#open.set(request, { resolve: resolve as (value: unknown) => void, reject });
      send(request);
    });
  }

  /** The number of the request `ask` makes next. */
  get upcoming(): number {
    return this.#next;
  }

  answered(request: number, value: unknown, error: ErrorWire | undefined): void {
    const open = this.#open.get(request);
    if (open === undefined) return;
    this.#open.delete(request);
    if (error === undefined) open.resolve(value);
    else open.reject(KeyfoldError.fromWire(error));
  }

  /** The other side is gone. */
  rejectAll(error: KeyfoldError): void {
    for (const { reject } of this.#open.values()) reject(error);
    this.#open.clear();
  }
}

/** Below this a copy is cheaper than handing over the buffer. */
export const TRANSFER_BYTES = 32 * 1024;

/** A view that shares its buffer with others is copied, one that fills it alone is handed over. */
export function transferable(data: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer } = data;
  if (buffer instanceof ArrayBuffer && data.byteLength === buffer.byteLength) return data as Uint8Array<ArrayBuffer>;
  return new Uint8Array(data);
}
