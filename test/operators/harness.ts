import { rm } from "node:fs/promises";
import fc from "fast-check";
import { createTestDriver, type TestDriverOptions } from "keyfold/testing";
import { scratchDir } from "../fixtures/scratch.ts";

export type Driver = Awaited<ReturnType<typeof createTestDriver>>;

export interface Event<V = number> {
  readonly topic: string;
  readonly key: string;
  readonly value: V | null;
  readonly timestamp: number;
}

/** How a run is interrupted: any of it must leave the final result as it is. */
export interface Manner {
  readonly options: Pick<TestDriverOptions, "cache" | "commitInterval" | "guarantee">;
  /** After this many events: a restart, of this kind. */
  readonly restartAfter: number;
  readonly restart: { readonly wipe: boolean; readonly crash: boolean };
}

export const manner: fc.Arbitrary<Manner> = fc.record({
  options: fc.record({
    cache: fc.constantFrom(0, 0, 700, 1_000_000),
    commitInterval: fc.constantFrom(0, 3, 1_000_000),
    guarantee: fc.constantFrom("at_least_once" as const, "exactly_once_v2" as const),
  }),
  restartAfter: fc.nat(40),
  restart: fc.record({ wipe: fc.boolean(), crash: fc.boolean() }),
});

/** With some that could be taken for the parts of store keys. */
const KEYS: readonly string[] = ["a", "b", "a1", "", "a\u0000", "é@1/2", "a\u00000000000000000003", "😀"];

const SEED = Number(process.env["PROPERTY_SEED"] ?? 4_242);
/** A replayable run: failures print seed and path. */
export const runs = (numRuns: number): fc.Parameters<unknown> => ({ numRuns, seed: SEED });

/** Runs events through a definition in a manner, one ms of wall clock each, and hands the committed driver over. */
export async function through<R>(
  definition: unknown,
  events: readonly Event<unknown>[],
  { options, restartAfter, restart }: Manner,
  look: (driver: Driver) => R,
): Promise<R> {
  const dir = await scratchDir();
  const driver = await createTestDriver(definition, { ...options, dir });
  try {
    for (const [i, { topic, ...record }] of events.entries()) {
      driver.pipe(topic, record);
      driver.advanceWallClock(1);
      if (i === restartAfter) await driver.restart(restart);
    }
    driver.commit();
    return look(driver);
  } finally {
    await driver.close();
    await rm(dir, { recursive: true, force: true });
  }
}

/** Last value of each key of a topic; deleted ones left out. */
export function finals(driver: Driver, topic: string): Record<string, unknown> {
  const last = new Map<string, unknown>();
  for (const { key, value } of driver.read(topic)) {
    if (value === null) last.delete(key ?? "");
    else last.set(key ?? "", value);
  }
  return sorted(last);
}

export function sorted(map: ReadonlyMap<string, unknown>): Record<string, unknown> {
  return Object.fromEntries([...map].sort(([a], [b]) => (a < b ? -1 : 1)));
}

export function event<V>(
  topics: readonly string[],
  value: fc.Arbitrary<V | null>,
  latest = 60,
  keys: readonly string[] = KEYS,
): fc.Arbitrary<Event<V>> {
  return fc.record({ topic: fc.constantFrom(...topics), key: fc.constantFrom(...keys), value, timestamp: fc.nat(latest) });
}
