import { readFile } from "node:fs/promises";
import type { AirportStats, Flight } from "../../functions/airport-stats.ts";

/** What the functions must compute, computed directly from the file, without any of the code under test. */
export async function expected(): Promise<{ stats: Map<string, AirportStats>; watched: string[]; late: Map<string, number> }> {
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
  return { stats, watched: watched.sort(), late };
}
