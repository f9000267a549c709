import { defineFunction, session, stream } from "keyfold";
import type { Flight } from "./airport-stats.ts";

/** Late departures of one airport that followed each other closely. */
export interface Burst {
  readonly flights: number;
  /** The longest delay among them, minutes. */
  readonly worst: number;
}

const LATE_MINUTES = 60;
/** Fewer are no burst, and not sent on. */
export const LEAST_FLIGHTS = 3;

/** Sessions: a late flight within two hours of another joins its session; one that fits between two sessions makes them one. */
const bursts = stream<Flight>("flights")
  .filter(({ delay }) => delay >= LATE_MINUTES)
  .groupByKey()
  .windowedBy(session("2 hours", { retention: "36500 days" }))
  .aggregate<Burst>(
    {
      init: () => ({ flights: 0, worst: 0 }),
      add: (burst, { delay }) => ({ flights: burst.flights + 1, worst: Math.max(burst.worst, delay) }),
      merge: (a, b) => ({ flights: a.flights + b.flights, worst: Math.max(a.worst, b.worst) }),
    },
    "bursts",
  );

/**
 * A function of steps alone. Sessions grow, and each growth is an update; `suppress` holds them back until the session has
 * closed, and lets the last one through. Only then is it known whether it was a burst.
 */
export default defineFunction({
  topology: bursts
    .suppress({ until: "window-closes" })
    .toStream()
    .filter((burst) => burst !== null && burst.flights >= LEAST_FLIGHTS)
    .to("airport-bursts"),
  // What reads over HTTP see: all sessions, those that are still open and those of one flight included.
  query: "bursts",
});
