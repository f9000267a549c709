import { readFile } from "node:fs/promises";
import type { AirportStats, Flight } from "../../functions/airport-stats.ts";
import type { Day } from "../../functions/daily-flights.ts";
import { readFiles } from "../../runtime/demo/files.ts";

export interface Expected {
  readonly stats: Map<string, AirportStats>;
  readonly watched: string[];
  readonly late: Map<string, number>;
  /** By `airport@start/end`, as in reads over HTTP. */
  readonly days: Map<string, Day>;
  readonly states: Map<string, Day>;
}

/** What the functions must compute, computed directly from the file, without any of the code that computes it there. */
export async function expected(): Promise<Expected> {
  const file = new URL("data/flights-20k.json", new URL("../", import.meta.resolve("vega-datasets")));
  const flights = JSON.parse(await readFile(file, "utf8")) as Flight[];
  const stats = new Map<string, AirportStats>();
  const late = new Map<string, number>();
  for (const origin of new Set(flights.map((flight) => flight.origin))) {
    const own = flights.filter((flight) => flight.origin === origin);
    stats.set(origin, {
      flights: own.length,
      onTime: own.filter(({ delay }) => delay < 15).length,
      delay: own.reduce((sum, { delay }) => sum + delay, 0),
      worst: own.reduce((worst, flight) => (flight.delay > worst.delay ? flight : worst)),
    });
  }
  for (const { destination } of flights.filter(({ delay }) => delay >= 180)) late.set(destination, (late.get(destination) ?? 0) + 1);
  const watched = [...stats].filter(([, { flights: count, delay }]) => count >= 20 && delay / count >= 12).map(([airport]) => airport);
  const days = new Map<string, Day>();
  const states = new Map<string, Day>();
  const [airports] = await readFiles();
  const stateOf = new Map(airports?.records.map(({ key, value }) => [key, (value as { state: string }).state]));
  for (const { date, origin, delay } of flights) {
    const start = Date.parse(`${date.slice(0, 10).replaceAll("/", "-")}T00:00:00Z`);
    add(days, `${origin}@${start}/${start + 86_400_000}`, delay);
    add(states, stateOf.get(origin) ?? "", delay);
  }
  return { stats, watched: watched.sort(), late, days, states };
}

function add(sums: Map<string, Day>, key: string, delay: number): void {
  const sum = sums.get(key) ?? { flights: 0, delay: 0 };
  sums.set(key, { flights: sum.flights + 1, delay: sum.delay + delay });
}
