import { defineFunction } from "keyfold";
import type { AirportStats } from "./airport-stats.ts";

/** An airport on the watch list. */
export interface Watched {
  /** Average delay in minutes, rounded to a tenth. */
  readonly averageDelay: number;
  readonly flights: number;
}

/** An airport is watched while its flights are late by so many minutes on average ... */
const LIMIT_MINUTES = 12;
/** ... and there are enough of them for an average to mean something. */
const LEAST_FLIGHTS = 20;

/**
 * Fed by what `airport-stats` writes to its sink. Returning `null` deletes the key: in the cache, on disk, in the changelog
 * and, as a null record, in the sink. So the keys of this function are the list, and nothing has to be filtered.
 */
export default defineFunction<AirportStats, Watched>({
  source: "airport-stats",
  sink: "delay-watch",
  reduce(watched, { flights, delay }) {
    const late = flights >= LEAST_FLIGHTS && delay / flights >= LIMIT_MINUTES;
    if (late) return { averageDelay: Math.round((delay / flights) * 10) / 10, flights };
    // Not on the list and not to be: `undefined` writes nothing, where `null` would write a tombstone for every airport.
    return watched === undefined ? undefined : null;
  },
});
