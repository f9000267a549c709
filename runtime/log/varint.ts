/** Kafka's zigzag varints. Values are JS numbers; those beyond 32 bits take the slow road. */

/** Bytes that the zigzag varint of a number takes. */
export function varintSize(value: number): number {
  if (value >= -64 && value < 64) return 1;
  if (value >= -8192 && value < 8192) return 2;
  if (value >= -1048576 && value < 1048576) return 3;
  if (value >= -134217728 && value < 134217728) return 4;
  let rest = value < 0 ? -value * 2 - 1 : value * 2;
  let size = 1;
  while (rest >= 128) {
    rest = Math.floor(rest / 128);
    size++;
  }
  return size;
}

/** Writes a zigzag varint; returns the position after it. */
export function writeVarint(buffer: Uint8Array, value: number, at: number): number {
  if (value >= -1073741824 && value < 1073741824) {
    let rest = (value << 1) ^ (value >> 31);
    while (rest > 127) {
      buffer[at++] = (rest & 127) | 128;
      rest >>>= 7;
    }
    buffer[at++] = rest;
    return at;
  }
  let rest = value < 0 ? -value * 2 - 1 : value * 2;
  while (rest >= 128) {
    buffer[at++] = (rest % 128) | 128;
    rest = Math.floor(rest / 128);
  }
  buffer[at++] = rest;
  return at;
}

/** Reads a zigzag varint of up to 32 bits; `position.at` is where it begins, and then where it ends. */
export function readVarint(buffer: Uint8Array, position: { at: number }): number {
  let raw = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = buffer[position.at++] as number;
    raw |= (byte & 127) << shift;
    if (byte < 128 || shift > 28) return (raw >>> 1) ^ -(raw & 1);
  }
}
