/** When compaction first saw the tombstones below an offset; both ascend. */
export type Seen = readonly (readonly [offset: number, at: number])[];

/** How finely the times are kept: `delete.retention.ms` is honoured, and exceeded by at most one part in so many. */
const PARTS = 16;

/**
 * Tombstones below this offset were first seen longer than `retentionMs` ago and may go. The clock starts when compaction
 * meets a tombstone, not at its timestamp, which may be any event's time: a reader that was away for less than
 * `retentionMs` so always finds it.
 */
export function expiredBelow(seen: Seen, retentionMs: number, now: number): number {
  let offset = 0;
  for (const [below, at] of seen) if (at + retentionMs <= now) offset = below;
  return offset;
}

/** Notes that everything below `offset` was seen by now; entries close in time become one, the later time counting for both. */
export function noteSeen(seen: Seen, offset: number, retentionMs: number, now: number): Seen {
  const grain = Math.max(1, retentionMs / PARTS);
  const kept = [...seen];
  const expired = expiredBelow(seen, retentionMs, now);
  while (kept.length > 1 && (kept[1]?.[0] ?? 0) <= expired) kept.shift();
  const last = kept.at(-1);
  if (last !== undefined && last[0] >= offset) return kept;
  if (last !== undefined && last[0] > expired && Math.floor(last[1] / grain) === Math.floor(now / grain)) kept.pop();
  kept.push([offset, now]);
  return kept;
}
