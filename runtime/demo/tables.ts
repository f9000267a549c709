import Table from "cli-table3";
import type { Named, Report } from "./report.ts";

const LABEL_LENGTH = 26;

/** How often an airport came on the watch list during this run, and left it. */
export interface WatchMoves {
  readonly on: number;
  readonly off: number;
}

/** The report for people: tables of what each function computed. */
export function tables(report: Report, moves: WatchMoves): string {
  const { flights, airports, busiest, watched, lateArrivals, lateFlights } = report;
  const busy = table(["airport", "city", "flights", "delay", "on time", "worst flight"], [2, 3, 4, 5]);
  for (const row of busiest) {
    busy.push([
      label(row),
      row.city,
      number(row.flights),
      average(row.averageDelay),
      `${(row.onTime * 100).toFixed(1)} %`,
      `${row.worst.delay} min to ${row.worst.destination}`,
    ]);
  }
  const watch = table(["airport", "city", "delay", "flights"], [2, 3]);
  for (const row of watched) watch.push([label(row), row.city, average(row.averageDelay), number(row.flights)]);
  const late = lateArrivals.map(({ airport, count }) => `${airport} ${count}`).join(", ");
  return [
    `airport-stats: ${number(flights)} flights from ${number(airports)} airports; the ${busiest.length} busiest:`,
    busy.toString(),
    "",
    `delay-watch: ${number(watched.length)} airports are on the list${moves.off > 0 ? `; while feeding, airports came on it ${moves.on} times, and a null took one off ${moves.off} times` : ""}:`,
    ...(watched.length > 0 ? [watch.toString()] : []),
    "",
    `late-arrivals: ${number(lateFlights)} flights were 3 hours late or more${late === "" ? "" : `; most of them bound for ${late}`}`,
    ...windowsAndJoins(report),
  ].join("\n");
}

function windowsAndJoins({ days, busiestDays, states, bursts }: Report): string[] {
  const busy = busiestDays.map((day) => `${day.airport} ${day.flights} on ${day.day}`).join(", ");
  const slow = states.slice(0, 5).map(({ state, averageDelay }) => `${state} ${average(averageDelay)}`);
  const big = bursts.slice(0, 3).map((burst) => `${burst.airport} ${burst.flights} on ${burst.day}`);
  return [
    `daily-flights: ${number(days)} days of single airports${busy === "" ? "" : `; most flights: ${busy}`}`,
    `state-delays: ${number(states.length)} states${slow.length === 0 ? "" : `; longest delays on average: ${slow.join(", ")}`}`,
    `airport-bursts: ${number(bursts.length)} bursts of late flights${big.length === 0 ? "" : `; the largest: ${big.join(", ")}`}`,
  ];
}

function table(head: string[], right: readonly number[]): Table.Table {
  return new Table({
    head,
    colAligns: head.map((_, i) => (right.includes(i) ? "right" : "left")),
    style: { head: [], border: [], compact: true },
  });
}

/** Short enough for the whole table to fit into 100 columns. */
function label({ airport, name }: Named): string {
  const text = `${airport} ${name}`;
  return text.length > LABEL_LENGTH ? `${text.slice(0, LABEL_LENGTH - 1)}…` : text;
}

function average(minutes: number): string {
  return `${minutes.toFixed(1)} min`;
}

/** 20000 → 20 000, the same on every machine. */
export function number(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, " ");
}
