import { defineFunction } from "keyfold";

/** One line of the airports file, keyed by its IATA code. */
export interface Airport {
  readonly name: string;
  readonly city: string;
  readonly state: string;
  readonly country: string;
  readonly latitude: number;
  readonly longitude: number;
}

/** A directory: the state of a key is simply the last event that came for it. */
export default defineFunction<Airport, Airport>({
  source: "airports",
  reduce: (_known, airport) => airport,
});
