import { defineFunction, stream, table } from "keyfold";
import type { Flight } from "./airport-stats.ts";
import type { Airport } from "./airports.ts";

/** The flights that left one state. */
export interface StateDelay {
  readonly flights: number;
  /** Minutes of delay of all flights together. */
  readonly delay: number;
  /** Minutes, rounded to a tenth. */
  readonly averageDelay: number;
}

/**
 * A join: each flight meets the row of its airport, since both topics have the same keys, and as many partitions. The airports
 * come before the flights in event time, and so are in the table before it is looked into. A flight whose airport is not in
 * the table then is left out; `leftJoin` would hand it on, with null for the row.
 *
 * `keyBy` goes through a topic of the function's own, so that all flights of a state meet in one partition.
 */
export default defineFunction({
  source: stream<Flight>("flights")
    .join(table<Airport>("airports"), ({ delay }, { state }) => ({ delay, state }))
    .keyBy(({ state }) => state),
  sink: "state-delays",
  reduce(total: StateDelay | undefined, flight): StateDelay {
    const flights = (total?.flights ?? 0) + 1;
    const delay = (total?.delay ?? 0) + flight.delay;
    return { flights, delay, averageDelay: Math.round((delay / flights) * 10) / 10 };
  },
});
