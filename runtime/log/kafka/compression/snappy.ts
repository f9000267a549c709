import { copyMatch, findMatches } from "./matches.ts";

/**
 * Snappy (https://github.com/google/snappy/blob/main/format_description.txt) in the framing of snappy-java, which is what Kafka's
 * clients write: a magic header, then blocks with their length before them. Bare blocks, as some clients write, are read too.
 */
const MAGIC = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1]);
const BLOCK = 32 * 1024;
/** No format makes more than this out of a byte; what claims to is garbage. */
const MOST_EXPANSION = 64;

export function snappyDecompress(bytes: Buffer): Buffer {
  if (bytes.length < MAGIC.length || bytes.compare(MAGIC, 0, 8, 0, 8) !== 0) return block(bytes);
  const blocks: Buffer[] = [];
  for (let at = MAGIC.length; at < bytes.length; ) {
    if (at + 4 > bytes.length) throw new Error("a block is cut off");
    const length = bytes.readInt32BE(at);
    at += 4;
    if (length < 0 || at + length > bytes.length) throw new Error("a block is cut off");
    blocks.push(block(bytes.subarray(at, at + length)));
    at += length;
  }
  return Buffer.concat(blocks);
}

export function snappyCompress(bytes: Buffer): Buffer {
  const out: Buffer[] = [MAGIC];
  for (let from = 0; from < bytes.length; from += BLOCK) {
    const compressed = compressBlock(bytes, from, Math.min(from + BLOCK, bytes.length));
    const length = Buffer.allocUnsafe(4);
    length.writeInt32BE(compressed.length);
    out.push(length, compressed);
  }
  return Buffer.concat(out);
}

function block(input: Buffer): Buffer {
  let size = 0;
  let at = 0;
  for (let shift = 0; ; shift += 7) {
    if (at >= input.length || shift > 28) throw new Error("a block has no length");
    const byte = input[at++] as number;
    size += (byte & 127) * 2 ** shift;
    if (byte < 128) break;
  }
  if (size > input.length * MOST_EXPANSION) throw new Error(`a block of ${input.length} bytes claims to hold ${size}`);
  const out = Buffer.allocUnsafe(size);
  let to = 0;
  while (at < input.length) {
    const tag = input[at++] as number;
    let length = (tag >>> 2) + 1;
    const kind = tag & 3;
    if (kind === 0) {
      if (length > 60) {
        const extra = length - 60;
        if (at + extra > input.length) throw new Error("a literal is cut off");
        length = input.readUIntLE(at, extra) + 1;
        at += extra;
      }
      if (at + length > input.length || to + length > size) throw new Error("a literal is cut off");
      input.copy(out, to, at, at + length);
      at += length;
    } else {
      const extra = kind === 3 ? 4 : kind;
      if (at + extra > input.length) throw new Error("a copy is cut off");
      let distance = input.readUIntLE(at, extra);
      if (kind === 1) {
        distance += (tag >>> 5) << 8;
        length = ((tag >>> 2) & 7) + 4;
      }
      at += extra;
      copyMatch(out, to, distance, length);
    }
    to += length;
  }
  if (to !== size) throw new Error(`a block holds ${to} bytes instead of ${size}`);
  return out;
}

function compressBlock(input: Buffer, from: number, end: number): Buffer {
  const size = end - from;
  const out = Buffer.allocUnsafe(16 + size + Math.ceil(size / 6));
  let to = 0;
  let rest = size;
  for (; rest > 127; rest >>>= 7) out[to++] = (rest & 127) | 128;
  out[to++] = rest;
  const literals = (start: number, stop: number): void => {
    if (stop === start) return;
    const length = stop - start - 1;
    if (length < 60) out[to++] = length << 2;
    else {
      const extra = length < 256 ? 1 : 2;
      out[to++] = (59 + extra) << 2;
      to = out.writeUIntLE(length, to, extra);
    }
    to += input.copy(out, to, start, stop);
  };
  findMatches(input, from, end, 32767, 0, {
    literals,
    match(start, stop, distance, length) {
      literals(start, stop);
      for (let left = length; left > 0; ) {
        const part = Math.min(left, 64);
        out[to++] = ((part - 1) << 2) | 2;
        to = out.writeUInt16LE(distance, to);
        left -= part;
      }
    },
  });
  return out.subarray(0, to);
}
