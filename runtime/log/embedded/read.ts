import { lastOffset } from "../batch-header.ts";
import { letGo } from "../let-go.ts";
import type { Fetched } from "../log.ts";
import type { Database } from "./database.ts";
import type { Partition } from "./partition.ts";

/** Batches from the one that holds `position` on, at least one, in memory of their own (transferable). */
export function readBatches(database: Database, partition: Partition, position: number, maxBytes: number): Fetched {
  const { end, tail } = partition;
  if (tail !== undefined && tail.end === end && position >= tail.base && tail.base >= partition.start)
    return { data: copied(tail.data), next: end, end };
  const { rows, finished } = database.scan(partition.keys(position, end), { bytes: Math.max(0, Math.min(maxBytes, 2 ** 31 - 1)) });
  let bytes = 0;
  for (let i = 1; i < rows.length; i += 2) bytes += (rows[i] as Buffer).length;
  const data = Buffer.allocUnsafeSlow(bytes);
  let at = 0;
  // Nothing more up to the end: what is left there, if anything, are holes.
  const last = rows.at(-1);
  const next = finished || last === undefined ? end : lastOffset(last, 0) + 1;
  for (let i = 1; i < rows.length; i += 2) {
    const row = rows[i] as Buffer;
    at += row.copy(data, at);
    letGo(row);
  }
  return { data, next, end };
}

function copied(data: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(data.length);
  data.copy(copy);
  return copy;
}
