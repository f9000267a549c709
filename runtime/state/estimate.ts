/** Levels looked into, and members looked at per level: an estimate must cost less than what it is for. */
const DEPTH = 3;
const SAMPLE = 8;

/** About how many bytes of heap a value takes. Samples wide and deep values; never reads more than a few dozen members. */
export function estimateBytes(value: unknown, depth = DEPTH): number {
  switch (typeof value) {
    case "string":
      return 24 + value.length;
    case "number":
      return 12;
    case "object":
      return value === null ? 4 : estimateObject(value, depth);
    case "bigint":
      return 32;
    default:
      return 8;
  }
}

function estimateObject(value: object, depth: number): number {
  if (Array.isArray(value)) return 32 + sampleArray(value, depth);
  if (value instanceof Map) return 64 + sampleMembers(value.values(), value.size, depth) + value.size * 48;
  if (value instanceof Set) return 64 + sampleMembers(value.values(), value.size, depth) + value.size * 24;
  if (ArrayBuffer.isView(value)) return 128 + value.byteLength;
  if (depth === 0) return 64;
  let bytes = 32;
  let seen = 0;
  for (const name in value) {
    // Beyond the sample, members only count: as much as the ones before them on average.
    if (++seen > SAMPLE * 2) break;
    bytes += 8 + estimateBytes((value as Record<string, unknown>)[name], depth - 1);
  }
  return seen > SAMPLE * 2 ? (bytes / (SAMPLE * 2)) * Object.keys(value).length : bytes;
}

function sampleArray(array: readonly unknown[], depth: number): number {
  const length = array.length;
  if (depth === 0) return length * 24;
  if (length <= SAMPLE) {
    let bytes = 0;
    for (let i = 0; i < length; i++) bytes += 8 + estimateBytes(array[i], depth - 1);
    return bytes;
  }
  let bytes = 0;
  const step = length / SAMPLE;
  for (let i = 0; i < SAMPLE; i++) bytes += 8 + estimateBytes(array[Math.floor(i * step)], depth - 1);
  return (bytes / SAMPLE) * length;
}

function sampleMembers(members: Iterable<unknown>, size: number, depth: number): number {
  if (size === 0) return 0;
  if (depth === 0) return size * 24;
  let bytes = 0;
  let seen = 0;
  for (const member of members) {
    bytes += estimateBytes(member, depth - 1);
    if (++seen === SAMPLE) break;
  }
  return (bytes / seen) * size;
}
