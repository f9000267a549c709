import { isUtf8 } from "node:buffer";
import { KeyfoldError } from "../errors.ts";

/** Checks that bytes are one JSON text in UTF-8. They are not kept parsed: the log stores them as they came. */
export function checkJson(bytes: Buffer, what: string): void {
  try {
    // JSON's own characters are ASCII, so latin1, the cheapest decoding, is as good as UTF-8 to parse by.
    JSON.parse(bytes.toString("latin1"));
  } catch (thrown) {
    throw invalidJson(bytes, what, thrown);
  }
  if (!isUtf8(bytes)) throw new KeyfoldError("bad-request", `${what} is not valid UTF-8`);
}

/** The value of one JSON text in UTF-8. */
export function parseJson(bytes: Buffer, what: string): unknown {
  if (!isUtf8(bytes)) throw new KeyfoldError("bad-request", `${what} is not valid UTF-8`);
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch (thrown) {
    throw invalidJson(bytes, what, thrown);
  }
}

function invalidJson(bytes: Buffer, what: string, thrown: unknown): KeyfoldError {
  if (bytes.length === 0) return new KeyfoldError("bad-request", `${what} is empty; it must be JSON`);
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf)
    return new KeyfoldError("bad-request", `${what} begins with a byte order mark, which JSON has none of: save or send it without`);
  // V8 quotes the text around the error; short enough to show, but latin1 would garble it.
  const reason = thrown instanceof SyntaxError ? thrown.message.replace(/[^\x20-\x7e]/g, "?").slice(0, 200) : "it cannot be parsed";
  return new KeyfoldError("bad-request", `${what} is not JSON: ${reason}`);
}

/**
 * Finds members' values in a JSON object's bytes, which are known to be valid. Slices keep a value exactly as it was sent: parsing
 * and printing it again would round numbers beyond 2^53.
 */
export class JsonScanner {
  readonly #bytes: Uint8Array;
  /** Next byte to look at. */
  at: number;

  constructor(bytes: Uint8Array, at = 0) {
    this.#bytes = bytes;
    this.at = at;
  }

  /** Bounds of the last member called `name` of the object that starts here; moves past the object. `start` -1: there is none. */
  member(name: string): { start: number; end: number } {
    const found = { start: -1, end: -1 };
    this.#space();
    this.at++;
    for (;;) {
      this.#space();
      const c = this.#bytes[this.at];
      if (c === 0x7d) break;
      if (c === 0x2c) {
        this.at++;
        continue;
      }
      const wanted = this.#name(name);
      this.#space();
      this.at++;
      this.#space();
      const start = this.at;
      this.#value();
      if (wanted) {
        found.start = start;
        found.end = this.at;
      }
    }
    this.at++;
    return found;
  }

  /** In an array: moves to the next element; false at its end. */
  next(): boolean {
    for (;;) {
      const c = this.#bytes[this.at];
      if (c === 0x5d || c === undefined) return false;
      if (c !== 0x2c && c !== 0x5b && c !== 0x20 && c !== 0x0a && c !== 0x0d && c !== 0x09) return true;
      this.at++;
      if (c === 0x5b) {
        this.#space();
        return this.#bytes[this.at] !== 0x5d;
      }
    }
  }

  #space(): void {
    for (;;) {
      const c = this.#bytes[this.at];
      if (c !== 0x20 && c !== 0x0a && c !== 0x0d && c !== 0x09) return;
      this.at++;
    }
  }

  #name(name: string): boolean {
    const start = this.at;
    this.#string();
    const length = this.at - start - 2;
    if (length === name.length) {
      for (let i = 0; i < length; i++) if (this.#bytes[start + 1 + i] !== name.charCodeAt(i)) return false;
      return true;
    }
    // Longer: the same name may be written with escapes.
    if (length < name.length) return false;
    const raw = Buffer.from(this.#bytes.subarray(start, this.at));
    return raw.includes(0x5c) && JSON.parse(raw.toString("utf8")) === name;
  }

  #string(): void {
    for (let i = this.at + 1; ; i++) {
      const c = this.#bytes[i];
      if (c === 0x5c) i++;
      else if (c === 0x22 || c === undefined) {
        this.at = i + 1;
        return;
      }
    }
  }

  #value(): void {
    let depth = 0;
    for (;;) {
      const c = this.#bytes[this.at];
      if (c === 0x22) this.#string();
      else if (c === 0x7b || c === 0x5b) {
        depth++;
        this.at++;
        continue;
      } else if (c === undefined) return;
      else if (c === 0x7d || c === 0x5d) {
        depth--;
        this.at++;
      } else if (depth === 0) {
        this.#scalar();
      } else {
        this.at++;
        continue;
      }
      if (depth === 0) return;
    }
  }

  #scalar(): void {
    for (;;) {
      const c = this.#bytes[this.at];
      if (c === undefined || c === 0x2c || c === 0x7d || c === 0x5d || c === 0x20 || c === 0x0a || c === 0x0d || c === 0x09) return;
      this.at++;
    }
  }
}
