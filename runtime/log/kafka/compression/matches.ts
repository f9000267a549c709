/** What an LZ77 format does with a stretch of input: some literal bytes, then a copy of `length` bytes from `distance` back. */
export interface MatchSink {
  literals(from: number, to: number): void;
  match(from: number, to: number, distance: number, length: number): void;
}

const HASH_BITS = 14;

/**
 * The greedy matcher that LZ4 and Snappy share: looks each four bytes up in a small table of where they were last seen, and steps
 * faster the longer it finds nothing. Matches begin at most `reach` bytes back, and the last `tail` bytes are always literals.
 */
export function findMatches(input: Buffer, start: number, end: number, reach: number, tail: number, sink: MatchSink): void {
  const table = new Int32Array(1 << HASH_BITS).fill(-1);
  const limit = end - Math.max(tail, 12);
  let pending = start;
  let at = start;
  let misses = 0;
  while (at < limit) {
    const word = input.readInt32LE(at);
    const slot = Math.imul(word, 0x9e3779b1) >>> (32 - HASH_BITS);
    const seen = table[slot] as number;
    table[slot] = at;
    if (seen < 0 || at - seen > reach || input.readInt32LE(seen) !== word) {
      at += 1 + (misses++ >>> 5);
      continue;
    }
    let length = 4;
    const most = end - tail - at;
    while (length < most && input[seen + length] === input[at + length]) length++;
    sink.match(pending, at, at - seen, length);
    at += length;
    pending = at;
    misses = 0;
  }
  sink.literals(pending, end);
}

/** Copies `length` bytes from `distance` before `at`; source and target may overlap, which repeats a pattern. */
export function copyMatch(out: Buffer, at: number, distance: number, length: number): void {
  if (distance <= 0 || distance > at || at + length > out.length) throw new Error("a copy reaches outside the data");
  if (distance >= length) out.copyWithin(at, at - distance, at - distance + length);
  else for (let i = 0; i < length; i++) out[at + i] = out[at + i - distance] as number;
}
