import { Packr } from "msgpackr";
import { KeyfoldError } from "../errors.ts";
import { deepFreeze } from "./freeze.ts";
import { boxMaps, registerMapExtension } from "./map-extension.ts";
import { explainUnstorable, scan } from "./storable.ts";
import type { Stamped, StoreSpec } from "./store.ts";
import type { StoreName } from "./store-errors.ts";

/**
 * First byte of every stored value: the format's version. It is MessagePack's never-used byte, and no UTF-8 or JSON text
 * begins with it either, so that bytes of any other layout are noticed and never half understood.
 */
export const VALUE_FORMAT = 0xc1;

/** msgpackr: keep bytes free before the payload (their number is in the low byte), write into the same buffer again. */
const PACK_OPTIONS = 2048 | 1024 | 512;
const HEADER_MAX = 20;
/** Larger values are read where they lie. */
const SCRATCH_BYTES = 1024;

export interface CodecOptions {
  readonly task: string;
  /** `state.max.bytes`: limit of one encoded value. */
  readonly maxBytes: number;
  /** Deep-freeze what is decoded (dev). */
  readonly freeze?: boolean;
}

/** msgpackr's own buffer, and where in it the bytes of one value lie. */
export type Encoded = Buffer & { readonly start: number; readonly end: number };

/**
 * The one envelope of values, on disk and in changelogs:
 * format byte, schema version (varint), timestamp + 1 (varint; 0 = none), MessagePack payload.
 */
export class ValueCodec {
  readonly #name: StoreName;
  readonly #version: number;
  readonly #migrate: Readonly<Record<number, (state: unknown) => unknown>>;
  readonly #maxBytes: number;
  readonly #freeze: boolean;
  /** Shared structures are never used: bytes written with them are unreadable once the structures are lost. */
  readonly #packr = new Packr({ useRecords: false, moreTypes: true, copyBuffers: true, useToJSON: false });
  readonly #bigPackr = new Packr({ useRecords: false, moreTypes: true, copyBuffers: true, useToJSON: false, variableMapSize: true });
  readonly #window = { start: 0, end: 0 };
  readonly #scratch = Buffer.alloc(SCRATCH_BYTES);

  constructor(spec: Pick<StoreSpec, "name" | "schemaVersion" | "migrate">, { task, maxBytes, freeze = false }: CodecOptions) {
    this.#name = { store: spec.name, task };
    this.#version = spec.schemaVersion;
    this.#migrate = spec.migrate ?? {};
    this.#maxBytes = maxBytes;
    this.#freeze = freeze;
    registerMapExtension();
  }

  /** What it returns is written over by the next encode. */
  encode(key: string, value: unknown, timestamp: number): Encoded {
    const kind = scan(value, 0);
    if (kind === "unstorable") throw this.#unstorable(key, value);
    const bytes = this.#pack(key, kind === "maps" ? boxMaps(value) : value, timestamp);
    const length = bytes.end - bytes.start;
    if (length > this.#maxBytes) {
      throw new KeyfoldError(
        "state-too-large",
        `The state of key ${JSON.stringify(key)} in ${this.#where()} is ${length} bytes, above the limit of ${this.#maxBytes} (setting "state.max.bytes").`,
        { details: { ...this.#name, key, bytes: length, limit: this.#maxBytes, setting: "state.max.bytes" } },
      );
    }
    return bytes;
  }

  /** The value is bytes [from, to) of `bytes`. */
  decode(key: string, bytes: Uint8Array, from = 0, to: number = bytes.length): Stamped {
    if (bytes[from] !== VALUE_FORMAT) {
      const found =
        to === from
          ? "it is empty"
          : `it begins with byte 0x${(bytes[from] as number).toString(16).padStart(2, "0")} instead of 0x${VALUE_FORMAT.toString(16)}`;
      throw this.#unreadable(
        key,
        `is not in a format this version knows: ${found}. The store or its changelog was written by something else.`,
        undefined,
      );
    }
    let at = from + 1;
    let version = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = at < to ? bytes[at++] : undefined;
      if (byte === undefined || factor > 2 ** 28) throw this.#unreadable(key, "is cut short in its schema version", undefined);
      version += (byte & 127) * factor;
      if (byte < 128) break;
    }
    let stamp = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = at < to ? bytes[at++] : undefined;
      if (byte === undefined || factor > 2 ** 49) throw this.#unreadable(key, "is cut short in its timestamp", undefined);
      stamp += (byte & 127) * factor;
      if (byte < 128) break;
    }
    let value: unknown;
    try {
      value = this.#unpack(bytes, at, to);
    } catch (cause) {
      throw this.#unreadable(key, `cannot be decoded (${cause instanceof Error ? cause.message : String(cause)})`, cause);
    }
    if (version !== this.#version) value = this.#bringUp(key, value, version);
    if (this.#freeze) deepFreeze(value);
    return { value, timestamp: stamp - 1 };
  }

  /** msgpackr hangs a DataView on every buffer it reads from: small values are read from one of ours. */
  #unpack(bytes: Uint8Array, from: number, to: number): unknown {
    const window = this.#window;
    const length = to - from;
    if (length > SCRATCH_BYTES || length === 0) {
      window.start = from;
      window.end = to;
      return this.#packr.unpack(bytes, window);
    }
    const scratch = this.#scratch;
    for (let i = 0; i < length; i++) scratch[i] = bytes[from + i] as number;
    window.end = length;
    window.start = 0;
    return this.#packr.unpack(scratch, window);
  }

  #pack(key: string, value: unknown, timestamp: number): Encoded {
    const version = this.#version;
    const stamp = timestamp >= 0 ? Math.floor(timestamp) + 1 : 0;
    const header = 1 + varintBytes(version) + varintBytes(stamp);
    const bytes = this.#packPayload(key, value, PACK_OPTIONS | Math.min(header, HEADER_MAX));
    let at = bytes.start;
    bytes[at++] = VALUE_FORMAT;
    let rest = version;
    for (; rest > 127; rest = Math.floor(rest / 128)) bytes[at++] = (rest % 128) | 128;
    bytes[at++] = rest;
    for (rest = stamp; rest > 127; rest = Math.floor(rest / 128)) bytes[at++] = (rest % 128) | 128;
    bytes[at] = rest;
    return bytes;
  }

  #packPayload(key: string, value: unknown, options: number): Encoded {
    try {
      return this.#packr.pack(value, options) as Encoded;
    } catch (thrown) {
      // The quick way of writing objects stops at 65 535 properties.
      if (thrown instanceof Error && thrown.message.startsWith("Object is too large"))
        return this.#bigPackr.pack(value, options) as Encoded;
      throw this.#unstorable(key, value, thrown);
    }
  }

  #bringUp(key: string, value: unknown, version: number): unknown {
    if (version > this.#version) {
      throw this.#unreadable(
        key,
        `was written with schema version ${version}, newer than the ${this.#version} of the function that runs: roll forward again, or reset the function`,
        undefined,
      );
    }
    let state = value;
    for (let from = version; from < this.#version; from++) {
      const step = this.#migrate[from];
      if (step === undefined) {
        throw this.#unreadable(
          key,
          `has schema version ${version}, the function has ${this.#version}, and there is no migrate[${from}] to take it further`,
          undefined,
        );
      }
      try {
        state = step(state);
      } catch (cause) {
        throw this.#unreadable(
          key,
          `has schema version ${version}, and migrate[${from}] threw: ${cause instanceof Error ? cause.message : String(cause)}`,
          cause,
        );
      }
    }
    return state;
  }

  #where(): string {
    return `store "${this.#name.store}" of task ${this.#name.task}`;
  }

  #unstorable(key: string, value: unknown, cause?: unknown): KeyfoldError {
    const { path, reason } = explainUnstorable(value) ?? {
      path: "state",
      reason: cause instanceof Error ? cause.message : "cannot be stored",
    };
    return new KeyfoldError(
      "state-unstorable",
      `The state of key ${JSON.stringify(key)} in ${this.#where()} cannot be stored: ${path} ${reason}.`,
      {
        cause,
        details: { ...this.#name, key, path, reason },
      },
    );
  }

  #unreadable(key: string, what: string, cause: unknown): KeyfoldError {
    return new KeyfoldError("state-unreadable", `The stored state of key ${JSON.stringify(key)} in ${this.#where()} ${what}.`, {
      cause,
      details: { ...this.#name, key },
    });
  }
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest > 127; rest = Math.floor(rest / 128)) bytes++;
  return bytes;
}
