import { copyMatch, findMatches } from "./matches.ts";
import { xxhash32 } from "./xxhash32.ts";

/** LZ4 frames (https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md): what Kafka's clients write, of independent blocks of 64 KiB. */
const MAGIC = 0x184d2204;
const BLOCK = 64 * 1024;
const UNCOMPRESSED = 0x80000000;

export function lz4Decompress(bytes: Buffer): Buffer {
  const need = (at: number, length: number): void => {
    if (at + length > bytes.length) throw new Error("the frame is cut off");
  };
  need(0, 7);
  if (bytes.readUInt32LE(0) !== MAGIC) throw new Error("it is not an LZ4 frame");
  const flags = bytes[4] as number;
  const maxBlock = 1 << (8 + 2 * (((bytes[5] as number) >>> 4) & 7));
  const independent = (flags & 0x20) !== 0;
  const blockChecksum = (flags & 0x10) !== 0 ? 4 : 0;
  let at = 7 + ((flags & 0x08) !== 0 ? 8 : 0) + ((flags & 0x01) !== 0 ? 4 : 0);
  let out = Buffer.allocUnsafe(Math.min(4 * bytes.length, 1 << 20));
  let to = 0;
  for (;;) {
    need(at, 4);
    const word = bytes.readUInt32LE(at);
    at += 4;
    if (word === 0) return out.subarray(0, to);
    const length = word & 0x7fffffff;
    need(at, length + blockChecksum);
    if (out.length - to < maxBlock) {
      const larger = Buffer.allocUnsafe(Math.max(out.length * 2, to + maxBlock));
      out.copy(larger, 0, 0, to);
      out = larger;
    }
    if (word >= UNCOMPRESSED) {
      if (length > maxBlock) throw new Error("a block is too large");
      to += bytes.copy(out, to, at, at + length);
    } else to = block(bytes, at, at + length, out, to, independent ? to : 0);
    at += length + blockChecksum;
  }
}

/** Decodes one block into `out` at `to`; copies may reach back to `floor`. Returns the new end. */
function block(input: Buffer, from: number, end: number, out: Buffer, to: number, floor: number): number {
  let at = from;
  for (;;) {
    const token = input[at++] as number;
    let literals = token >>> 4;
    if (literals === 15) {
      let byte: number;
      do {
        if (at >= end) throw new Error("a block is cut off");
        byte = input[at++] as number;
        literals += byte;
      } while (byte === 255);
    }
    if (at + literals > end || to + literals > out.length) throw new Error("a literal is cut off");
    to += input.copy(out, to, at, at + literals);
    at += literals;
    if (at >= end) return to;
    if (at + 2 > end) throw new Error("a block is cut off");
    const distance = input.readUInt16LE(at);
    at += 2;
    let length = (token & 15) + 4;
    if (length === 19) {
      let byte: number;
      do {
        if (at >= end) throw new Error("a block is cut off");
        byte = input[at++] as number;
        length += byte;
      } while (byte === 255);
    }
    if (distance > to - floor) throw new Error("a copy reaches outside the data");
    copyMatch(out, to, distance, length);
    to += length;
  }
}

export function lz4Compress(bytes: Buffer): Buffer {
  const header = Buffer.from([0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0]);
  header[6] = (xxhash32(header, 4, 6) >>> 8) & 255;
  const out: Buffer[] = [header];
  for (let from = 0; from < bytes.length; from += BLOCK) {
    const end = Math.min(from + BLOCK, bytes.length);
    const compressed = compressBlock(bytes, from, end);
    const size = Buffer.allocUnsafe(4);
    if (compressed.length < end - from) {
      size.writeUInt32LE(compressed.length);
      out.push(size, compressed);
    } else {
      size.writeUInt32LE(UNCOMPRESSED + end - from);
      out.push(size, bytes.subarray(from, end));
    }
  }
  out.push(Buffer.alloc(4));
  return Buffer.concat(out);
}

function compressBlock(input: Buffer, from: number, end: number): Buffer {
  const out = Buffer.allocUnsafe(end - from + Math.ceil((end - from) / 255) + 32);
  let to = 0;
  const extra = (value: number): void => {
    let rest = value - 15;
    for (; rest >= 255; rest -= 255) out[to++] = 255;
    out[to++] = rest;
  };
  const literals = (start: number, stop: number, matchBits: number): void => {
    const length = stop - start;
    out[to++] = (Math.min(length, 15) << 4) | matchBits;
    if (length >= 15) extra(length);
    to += input.copy(out, to, start, stop);
  };
  findMatches(input, from, end, 65535, 5, {
    literals: (start, stop) => literals(start, stop, 0),
    match(start, stop, distance, length) {
      literals(start, stop, Math.min(length - 4, 15));
      to = out.writeUInt16LE(distance, to);
      if (length - 4 >= 15) extra(length - 4);
    },
  });
  return out.subarray(0, to);
}
