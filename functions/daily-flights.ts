import { defineFunction, tumbling } from "keyfold";
import type { Flight } from "./airport-stats.ts";

/** One airport's day. */
export interface Day {
  readonly flights: number;
  /** Minutes of delay of all of them together. */
  readonly delay: number;
}

/**
 * A window: the reducer keeps a state for each airport *and day*, and starts afresh with every new one. Days are those of
 * event time, not of the clock on the wall, so flights of 2001 come out the same whenever they are fed.
 */
export default defineFunction<Flight, Day>({
  source: "flights",
  window: tumbling("1 day", {
    // A day stays open six hours longer than it lasts. A flight that is reported later than that is dropped, and counted.
    grace: "6 hours",
    // How far back days can be read. Long, because an event appended by hand is of today, and the others are of 2001.
    retention: "36500 days",
  }),
  reduce: (day = { flights: 0, delay: 0 }, { delay }) => ({ flights: day.flights + 1, delay: day.delay + delay }),
  // The sink gets each day once, when it can no longer change; its key there is `DFW@start/end`. Reads see days that are still
  // open, too: `GET /v1/functions/daily-flights/keys/DFW?from=984096000000&to=984182399999` is 9 March 2001.
  emit: "on-window-close",
  sink: "daily-flights",
});
