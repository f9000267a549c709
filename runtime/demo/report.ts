import type { AirportStats, Flight } from "../../functions/airport-stats.ts";
import type { Airport } from "../../functions/airports.ts";
import type { Watched } from "../../functions/delay-watch.ts";
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
  const [stats, watch, late] = await Promise.all([
    entries<AirportStats>(api, "airport-stats"),
    entries<Watched>(api, "delay-watch"),
    entries<number>(api, "late-arrivals"),
  ]);
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

function largest<State>(all: readonly Entry<State>[], by: (entry: Entry<State>) => number, top: number): Entry<State>[] {
  return [...all].sort((a, b) => by(b) - by(a) || (a.key < b.key ? -1 : 1)).slice(0, top);
}
