/** Kafka's murmur2 over bytes[from, to), as a signed 32-bit number. */
export function murmur2(bytes: Uint8Array, from = 0, to: number = bytes.length): number {
  const length = to - from;
  let h = 0x9747b28c ^ length;
  let p = from;
  for (const wide = to - 3; p < wide; p += 4) {
    let k = (bytes[p] as number) | ((bytes[p + 1] as number) << 8) | ((bytes[p + 2] as number) << 16) | ((bytes[p + 3] as number) << 24);
    k = Math.imul(k, 0x5bd1e995);
    k ^= k >>> 24;
    h = Math.imul(h, 0x5bd1e995) ^ Math.imul(k, 0x5bd1e995);
  }
  const rest = length & 3;
  if (rest > 2) h ^= (bytes[p + 2] as number) << 16;
  if (rest > 1) h ^= (bytes[p + 1] as number) << 8;
  if (rest > 0) h = Math.imul(h ^ (bytes[p] as number), 0x5bd1e995);
  h ^= h >>> 13;
  h = Math.imul(h, 0x5bd1e995);
  return h ^ (h >>> 15);
}

/** murmur2 of a string's UTF-8 bytes; ASCII, the usual case, is hashed without encoding it. */
export function murmur2Text(text: string): number {
  const length = text.length;
  let h = 0x9747b28c ^ length;
  let p = 0;
  let seen = 0;
  for (const wide = length - 3; p < wide; p += 4) {
    const a = text.charCodeAt(p);
    const b = text.charCodeAt(p + 1);
    const c = text.charCodeAt(p + 2);
    const d = text.charCodeAt(p + 3);
    seen |= a | b | c | d;
    let k = Math.imul(a | (b << 8) | (c << 16) | (d << 24), 0x5bd1e995);
    k ^= k >>> 24;
    h = Math.imul(h, 0x5bd1e995) ^ Math.imul(k, 0x5bd1e995);
  }
  const rest = length & 3;
  for (let i = p; i < length; i++) seen |= text.charCodeAt(i);
  if (seen > 127) return murmur2(Buffer.from(text));
  if (rest > 2) h ^= text.charCodeAt(p + 2) << 16;
  if (rest > 1) h ^= text.charCodeAt(p + 1) << 8;
  if (rest > 0) h = Math.imul(h ^ text.charCodeAt(p), 0x5bd1e995);
  h ^= h >>> 13;
  h = Math.imul(h, 0x5bd1e995);
  return h ^ (h >>> 15);
}

/** The partition Kafka's default partitioner gives a key, so that every client of a topic agrees. */
export function partitionOf(key: string | Uint8Array, partitions: number): number {
  return ((typeof key === "string" ? murmur2Text(key) : murmur2(key)) & 0x7fffffff) % partitions;
}

/** Where records without a key go: one partition for a run of records, then the next, so that batches stay large. */
export class StickyPartitioner {
  readonly #run: number;
  #partition = 0;
  #left: number;

  /** `run`: records given to one partition in a row. Default 1: plain round robin. */
  constructor(run = 1) {
    this.#run = run;
    this.#left = run;
  }

  next(partitions: number): number {
    if (this.#left === 0) {
      this.#partition++;
      this.#left = this.#run;
    }
    this.#left--;
    if (this.#partition >= partitions) this.#partition = 0;
    return this.#partition;
  }
}
