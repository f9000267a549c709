import Table from "cli-table3";
import type { Report } from "./report.ts";

/** How often an airport came on the watch list during this run, and left it. */
export interface WatchMoves {
  readonly on: number;
  readonly off: number;
}

/** The report for people: tables of what each function computed. */
export function tables({ flights, airports, busiest, watched, lateArrivals, lateFlights }: Report, moves: WatchMoves): string {
  const busy = table(["", "airport", "city", "flights", "avg delay", "on time", "worst flight"], [0, 3, 4, 5]);
  busiest.forEach((row, i) => {
    const { worst } = row;
    busy.push([i + 1, `${row.airport} ${row.name}`, row.city, number(row.flights), minutes(row.averageDelay), `${(row.onTime * 100).toFixed(1)} %`, `${minutes(worst.delay)} to ${worst.destination}, ${worst.date.slice(0, 10)}`]);
  });
  const watch = table(["airport", "city", "avg delay", "flights"], [2, 3]);
  for (const row of watched) watch.push([`${row.airport} ${row.name}`, row.city, minutes(row.averageDelay), number(row.flights)]);
  const late = lateArrivals.map(({ airport, count }) => `${airport} ${count}`).join(", ");
  return [
    `airport-stats: ${number(flights)} flights from ${number(airports)} airports; the ${busiest.length} busiest:`,
    busy.toString(),
    "",
    `delay-watch: ${number(watched.length)} airports are on the list${moves.off > 0 ? `; while feeding, airports came on it ${moves.on} times, and a null took one off ${moves.off} times` : ""}:`,
    ...(watched.length > 0 ? [watch.toString()] : []),
    "",
    `late-arrivals: ${number(lateFlights)} flights were 3 hours late or more${late === "" ? "" : `; most of them bound for ${late}`}`,
  ].join("\n");
}

function table(head: string[], right: readonly number[]): Table.Table {
  return new Table({
    head,
    colAligns: head.map((_, i) => (right.includes(i) ? "right" : "left")),
    style: { head: [], border: [], compact: true },
  });
}

function minutes(value: number): string {
  return `${Number.isInteger(value) ? value : value.toFixed(1)} min`;
}

/** 20000 → 20 000, the same on every machine. */
export function number(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, " ");
}
