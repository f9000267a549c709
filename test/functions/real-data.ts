import type { Flight } from "../../functions/airport-stats.ts";
import type { Airport } from "../../functions/airports.ts";
import { readFiles } from "../../runtime/demo/files.ts";
import type { TestDriver } from "../../runtime/testing/driver.ts";

export interface RealFlight {
  readonly time: number;
  readonly flight: Flight;
}

export interface RealData {
  readonly airports: ReadonlyMap<string, Airport>;
  /** In the order of the file, which is that of their times. */
  readonly flights: readonly RealFlight[];
}

/** The airports and flights of vega-datasets, as `npm start` feeds them. */
export async function realData(): Promise<RealData> {
  const [airports, flights] = await readFiles();
  return {
    airports: new Map((airports?.records ?? []).map(({ key, value }) => [key, value as Airport])),
    flights: (flights?.records ?? []).map(({ value, timestamp }) => ({ time: timestamp, flight: value as Flight })),
  };
}

/** Options under which a driver takes 20 000 flights within seconds: commits are made when the test asks for them. */
export const MANY = { cache: 10_000_000, commitInterval: 60_000 };

export function pipeFlights(driver: TestDriver, flights: readonly RealFlight[]): void {
  for (const { time, flight } of flights) driver.pipe("flights", { key: flight.origin, value: flight, timestamp: time });
}

export function flight(origin: string, delay: number): Flight {
  return { date: "2001/01/01 00:47", delay, distance: 337, origin, destination: "LAX" };
}
