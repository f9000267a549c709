import type { Log } from "../../runtime/log/log.ts";
import { partitionOf } from "../../runtime/log/partitioner.ts";
import { BatchBuilder } from "../../runtime/log/record-batch.ts";

export type Workload = "hot" | "wide";

export const PARTITIONS = 4;
const FIRST = 1_690_000_000_000;
export const HOT_KEYS = 50_000;

/** Numbers in [0, 1), the same in every run. */
function uniform(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** hot: 50 000 keys by Zipf(1.0). wide: `keys` keys, all alike. */
export function keyChooser(workload: Workload, keys: number): () => number {
  const random = uniform(42);
  if (workload === "wide") return () => Math.floor(random() * keys);
  const sums = new Float64Array(HOT_KEYS);
  let sum = 0;
  for (let i = 0; i < HOT_KEYS; i++) sums[i] = sum += 1 / (i + 1);
  return () => {
    const x = random() * sum;
    let low = 0;
    let high = HOT_KEYS - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((sums[middle] ?? 0) < x) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}

/** One of about 120 bytes. */
function eventText(user: string, i: number): string {
  return JSON.stringify({
    user,
    page: `/p/${i % 997}`,
    ms: i % 3_000,
    amount: (i % 10_000) / 100,
    at: FIRST + i,
    ref: `https://example.org/${i % 31}`,
  });
}

/** What the machine is worth at the moment: CPU nanoseconds of one JSON.parse of an event. */
export function parseCost(): number {
  const count = 1_000_000;
  const choose = keyChooser("hot", HOT_KEYS);
  const texts = Array.from({ length: 20_000 }, (_, i) => eventText(`u${choose()}`, i));
  const parse = (times: number): number => {
    let sum = 0;
    for (let i = 0; i < times; i++) sum += (JSON.parse(texts[i % texts.length] as string) as { amount: number }).amount;
    return sum;
  };
  parse(count / 10);
  const before = process.cpuUsage();
  parse(count);
  const { user, system } = process.cpuUsage(before);
  return Math.round(((user + system) * 1_000) / count);
}

/** Appends `count` JSON events to the topic. */
export async function loadEvents(log: Log, topic: string, workload: Workload, count: number, keys: number): Promise<void> {
  // Their times are of 2023: by Kafka's default, which goes by them, they would be deleted at once.
  await log.ensureTopic({ name: topic, partitions: PARTITIONS, config: { "retention.ms": "-1" } });
  const choose = keyChooser(workload, keys);
  const builders = Array.from({ length: PARTITIONS }, () => new BatchBuilder());
  for (let i = 0; i < count; i++) {
    const user = `u${choose()}`;
    builders[partitionOf(user, PARTITIONS)]?.append(user, Buffer.from(eventText(user, i)), FIRST + i);
    if (i % 2_000 === 1_999 || i === count - 1) {
      const batches = builders.flatMap((builder, partition) =>
        builder.count === 0 ? [] : [{ topic, partition, count: builder.count, data: builder.finish() }],
      );
      for (const builder of builders) builder.reset();
      await log.append(batches);
    }
  }
}
