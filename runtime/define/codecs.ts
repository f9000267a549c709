import { Packr } from "msgpackr";
import { fastBuffer } from "../log/fast-buffer.ts";
import { boxMaps, registerMapExtension } from "../state/map-extension.ts";
import { scan } from "../state/storable.ts";
import type { Codec } from "../topology/topology.ts";

/** UTF-8 JSON: the default of every topic. `undefined` and what JSON cannot hold (a bigint, a cycle) throw. */
export const json: Codec = {
  name: "json",
  decode(bytes) {
    return JSON.parse(Buffer.isBuffer(bytes) ? bytes.toString() : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString());
  },
  decodeRange(buffer, start, end) {
    return JSON.parse(fastBuffer(buffer).utf8Slice(start, end));
  },
  encode(value) {
    const text = JSON.stringify(value);
    if (text === undefined) throw new TypeError(`json: a ${typeof value} has no JSON form`);
    return Buffer.from(text);
  },
};

/** MessagePack, with Date, Map, Set, bigint, Buffer and typed arrays kept as they are. */
export const msgpack: Codec = /* @__PURE__ */ createMsgpack();

/** The bytes as they are, as a Buffer. Values to send are Uint8Arrays or strings (UTF-8). */
export const bytes: Codec = {
  name: "bytes",
  decode(data) {
    return Buffer.from(data);
  },
  encode(value) {
    if (value instanceof Uint8Array) return value;
    if (typeof value === "string") return Buffer.from(value);
    throw new TypeError(`bytes: the value must be a Uint8Array or a string, not ${value === null ? "null" : typeof value}`);
  },
};

function createMsgpack(): Codec {
  // No records: bytes written with shared structures are unreadable once the structures are lost.
  const packr = new Packr({ useRecords: false, moreTypes: true, copyBuffers: true, useToJSON: false });
  registerMapExtension();
  return {
    name: "msgpack",
    decode: (data) => packr.unpack(data),
    encode(value) {
      const kind = scan(value, 0);
      if (kind === "unstorable")
        throw new TypeError("msgpack: the value holds a function, a symbol or a class instance, which have no MessagePack form");
      // The packr reuses its buffer, and callers may hold on to what they get.
      return Buffer.from(packr.pack(kind === "maps" ? boxMaps(value) : value));
    },
  };
}
