import { Hono } from "hono";
import { defineFunction, type StateView } from "keyfold";

/** One flight, keyed by the airport it left from. Event time is its scheduled departure. */
export interface Flight {
  /** Scheduled departure, local time: `2001/01/01 00:47`. */
  readonly date: string;
  /** Minutes; negative when early. */
  readonly delay: number;
  /** Miles. */
  readonly distance: number;
  readonly origin: string;
  readonly destination: string;
}

export interface AirportStats {
  readonly flights: number;
  /** Flights less than 15 minutes late, which is how airlines count "on time". */
  readonly onTime: number;
  /** Minutes of delay of all flights together. The sum, not the average: sums of whole numbers stay exact. */
  readonly delay: number;
  readonly worst: Flight;
}

const ON_TIME_MINUTES = 15;
const LONG_DELAY_MINUTES = 180;

/**
 * The reducer: one airport's figures, flight by flight. Every new state goes to the topic `airport-stats`, where
 * `delay-watch` reads it. A very late flight is also sent on, keyed by where it is going, for `late-arrivals` to count.
 */
export default defineFunction<Flight, AirportStats>({
  source: "flights",
  sink: "airport-stats",
  reduce(stats, flight, ctx) {
    if (flight.delay >= LONG_DELAY_MINUTES) ctx.emit("long-delays", flight, { key: flight.destination });
    const onTime = flight.delay < ON_TIME_MINUTES ? 1 : 0;
    if (stats === undefined) return { flights: 1, onTime, delay: flight.delay, worst: flight };
    return {
      flights: stats.flights + 1,
      onTime: stats.onTime + onTime,
      delay: stats.delay + flight.delay,
      worst: flight.delay > stats.worst.delay ? flight : stats.worst,
    };
  },
});

/** Questions of its own over the state of all keys: `GET /v1/functions/airport-stats/routes/busiest?limit=5`. */
export const routes = new Hono<{ Bindings: { state: StateView<AirportStats> } }>().get("/busiest", async (c) => {
  const limit = Number(c.req.query("limit") ?? 10);
  if (!Number.isInteger(limit) || limit < 1) return c.json({ error: "limit must be a whole number from 1" }, 400);
  const airports = await c.env.state.list({ limit: 10_000 });
  const busiest = airports.sort((a, b) => b.value.flights - a.value.flights || (a.key < b.key ? -1 : 1)).slice(0, limit);
  return c.json(busiest.map(({ key, value }) => ({ airport: key, flights: value.flights, averageDelay: value.delay / value.flights })));
});
