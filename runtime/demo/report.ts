import { type Burst, LEAST_FLIGHTS } from "../../functions/airport-bursts.ts";
import type { AirportStats, Flight } from "../../functions/airport-stats.ts";
import type { Airport } from "../../functions/airports.ts";
import type { Day } from "../../functions/daily-flights.ts";
import type { Watched } from "../../functions/delay-watch.ts";
import type { StateDelay } from "../../functions/state-delays.ts";
import { windowOf } from "../define/windowed-key.ts";
import type { HostApi } from "../host/api.ts";

/** What the functions computed, as plain data: what `--json` prints. */
export interface Report {
  /** Flights counted by `airport-stats`, over all airports. */
  readonly flights: number;
  /** Airports that have figures. */
  readonly airports: number;
  readonly busiest: readonly BusyAirport[];
  /** The keys of `delay-watch`. */
  readonly watched: readonly (Named & Watched)[];
  /** Airports with the most very late arrivals, by `late-arrivals`. */
  readonly lateArrivals: readonly (Named & { readonly count: number })[];
  /** All that `late-arrivals` counted. */
  readonly lateFlights: number;
  /** Days with flights, over all airports, by `daily-flights`; and the busiest of them. */
  readonly days: number;
  readonly busiestDays: readonly (OnDay & Day)[];
  /** What `state-delays` knows, the longest delays first. */
  readonly states: readonly (StateDelay & { readonly state: string })[];
  /** Sessions of `airport-bursts` that are bursts, the largest first. */
  readonly bursts: readonly (OnDay & Burst)[];
}

/** Of a window. */
export interface OnDay {
  readonly airport: string;
  /** Of its start: `2001-03-09`. */
  readonly day: string;
}

export interface Named {
  readonly airport: string;
  /** From the directory that `airports` keeps; the code where it has none. */
  readonly name: string;
  readonly city: string;
}

export interface BusyAirport extends Named {
  readonly flights: number;
  /** Minutes. */
  readonly averageDelay: number;
  /** 0 to 1. */
  readonly onTime: number;
  readonly worst: Flight;
}

export interface Entry<State> {
  readonly key: string;
  readonly value: State;
}

/** Asks the running functions; nothing is computed from the files. */
export async function report(api: HostApi, top = 10): Promise<Report> {
  const [stats, watch, late, days, states, sessions] = await Promise.all([
    entries<AirportStats>(api, "airport-stats"),
    entries<Watched>(api, "delay-watch"),
    entries<number>(api, "late-arrivals"),
    entries<Day>(api, "daily-flights"),
    entries<StateDelay>(api, "state-delays"),
    entries<Burst>(api, "airport-bursts"),
  ]);
  const bursts = sessions.filter(({ value }) => value.flights >= LEAST_FLIGHTS);
  const busiest = largest(stats, ({ value }) => value.flights, top);
  return {
    flights: stats.reduce((sum, { value }) => sum + value.flights, 0),
    airports: stats.length,
    busiest: await Promise.all(
      busiest.map(async ({ key, value }) => ({
        ...(await named(api, key)),
        flights: value.flights,
        averageDelay: value.delay / value.flights,
        onTime: value.onTime / value.flights,
        worst: value.worst,
      })),
    ),
    watched: await Promise.all(
      largest(watch, ({ value }) => value.averageDelay, watch.length).map(async ({ key, value }) => ({
        ...(await named(api, key)),
        ...value,
      })),
    ),
    lateArrivals: await Promise.all(
      largest(late, ({ value }) => value, 3).map(async ({ key, value }) => ({ ...(await named(api, key)), count: value })),
    ),
    lateFlights: late.reduce((sum, { value }) => sum + value, 0),
    days: days.length,
    busiestDays: largest(days, ({ value }) => value.flights, 3).map(({ key, value }) => ({ ...onDay(key), ...value })),
    states: largest(states, ({ value }) => value.averageDelay, states.length).map(({ key, value }) => ({ state: key, ...value })),
    bursts: largest(bursts, ({ value }) => value.flights, bursts.length).map(({ key, value }) => ({ ...onDay(key), ...value })),
  };
}

/** All entries of a function, page by page. */
export async function entries<State>(api: HostApi, fn: string): Promise<Entry<State>[]> {
  const all: Entry<State>[] = [];
  let cursor: string | undefined;
  do {
    const page = await api.list(fn, { limit: 1000, ...(cursor === undefined ? {} : { cursor }) });
    for (const item of page.items) all.push(JSON.parse(item) as Entry<State>);
    cursor = page.cursor ?? undefined;
  } while (cursor !== undefined);
  return all;
}

async function named(api: HostApi, airport: string): Promise<Named> {
  const text = await api.get("airports", airport, {});
  if (text === undefined) return { airport, name: airport, city: "" };
  const { value } = JSON.parse(text) as Entry<Airport>;
  return { airport, name: value.name, city: `${value.city}, ${value.state}` };
}

function onDay(windowedKey: string): OnDay {
  const { key, start } = windowOf(windowedKey);
  return { airport: key, day: new Date(start).toISOString().slice(0, 10) };
}

function largest<State>(all: readonly Entry<State>[], by: (entry: Entry<State>) => number, top: number): Entry<State>[] {
  return [...all].sort((a, b) => by(b) - by(a) || (a.key < b.key ? -1 : 1)).slice(0, top);
}
