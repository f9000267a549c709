const P1 = 0x9e3779b1;
const P2 = 0x85ebca77;
const P3 = 0xc2b2ae3d;
const P4 = 0x27d4eb2f;
const P5 = 0x165667b1;

/** xxHash32 with seed 0 of fewer than 16 bytes: the header checksum of an LZ4 frame. */
export function xxhash32(bytes: Buffer, from: number, to: number): number {
  let hash = (P5 + (to - from)) | 0;
  let at = from;
  for (; at + 4 <= to; at += 4) hash = Math.imul(rotate(hash + Math.imul(bytes.readInt32LE(at), P3), 17), P4);
  for (; at < to; at++) hash = Math.imul(rotate(hash + Math.imul(bytes[at] as number, P5), 11), P1);
  hash = Math.imul(hash ^ (hash >>> 15), P2);
  hash = Math.imul(hash ^ (hash >>> 13), P3);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}
