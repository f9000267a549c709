import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { parse } from "csv-parse/sync";

/** One record of a file, ready to append. */
export interface FileRecord {
  readonly key: string;
  readonly value: unknown;
  /** Event time, epoch ms. */
  readonly timestamp: number;
}

export interface SourceFile {
  readonly name: string;
  /** Topic its records go to. */
  readonly topic: string;
  /** Of the file's bytes: a feed that stopped in the middle goes on only with the same file. */
  readonly digest: string;
  readonly records: readonly FileRecord[];
}

interface FlightRow {
  readonly date: string;
  readonly origin: string;
}

interface AirportRow {
  readonly iata: string;
  readonly latitude: string;
  readonly longitude: string;
}

/**
 * Event time of the airports. A task that reads two topics goes by event time: a function that joins flights with airports has
 * every airport before the first flight, also when it is added long after both were fed.
 */
const BEFORE_FLIGHTS = Date.UTC(2001, 0, 1);

/** The two files of the `vega-datasets` package that the demo feeds: US airports, and 20 000 flights of early 2001. */
export async function readFiles(): Promise<SourceFile[]> {
  return [
    await sourceFile("airports.csv", "airports", (text) =>
      (parse(text, { columns: true }) as AirportRow[]).map(({ iata, ...airport }) => ({
        key: iata,
        value: { ...airport, latitude: Number(airport.latitude), longitude: Number(airport.longitude) },
        timestamp: BEFORE_FLIGHTS,
      })),
    ),
    await sourceFile("flights-20k.json", "flights", (text) =>
      (JSON.parse(text) as FlightRow[]).map((flight) => ({ key: flight.origin, value: flight, timestamp: eventTime(flight.date) })),
    ),
  ];
}

async function sourceFile(name: string, topic: string, records: (text: string) => FileRecord[]): Promise<SourceFile> {
  const path = new URL(`data/${name}`, new URL("../", import.meta.resolve("vega-datasets")));
  const bytes = await readFile(path);
  return { name, topic, digest: createHash("sha256").update(bytes).digest("hex").slice(0, 16), records: records(bytes.toString("utf8")) };
}

/** `2001/01/01 00:47` as epoch ms. The file has local times without a zone; taken as UTC they are the same on every machine. */
function eventTime(date: string): number {
  const time = Date.parse(`${date.replaceAll("/", "-").replace(" ", "T")}:00Z`);
  if (Number.isNaN(time)) throw new TypeError(`${JSON.stringify(date)} is not a date like "2001/01/01 00:47"`);
  return time;
}
