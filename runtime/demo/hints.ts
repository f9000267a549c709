export interface Urls {
  readonly publicUrl: string;
  readonly internalUrl: string;
}

/** Commands to try while the demo's host runs; each works as printed. */
export function hints({ publicUrl, internalUrl }: Urls): string {
  const functions = `${publicUrl}/v1/functions`;
  const flight = (delay: number): string =>
    `{"date":"2001/04/01 09:00","delay":${delay},"distance":967,"origin":"DEN","destination":"SFO"}`;
  const json = "-H 'content-type: application/json'";
  const lines: readonly (readonly [what: string, command: string])[] = [
    ["one key: Denver, whose flights are 11.9 minutes late on average", `curl ${functions}/airport-stats/keys/DEN`],
    ["a range of keys, and how many there are", `curl '${functions}/airport-stats/keys?from=S&to=T&limit=3'`],
    ["", `curl '${functions}/airport-stats/keys?count'`],
    ["follow the watch list; leave it open, and go on in another terminal", `curl -N ${functions}/delay-watch/live`],
    [
      "append a late flight: the average passes 12, and Denver comes on the list",
      `curl ${publicUrl}/v1/topics/flights/records ${json} -d '{"key":"DEN","value":${flight(75)}}'`,
    ],
    [
      "append an early one and get the state after it: Denver is off the list again",
      `curl '${functions}/airport-stats/keys/DEN?wait=committed' ${json} -d '${flight(-20)}'`,
    ],
    ["the function's own routes", `curl '${functions}/airport-stats/routes/busiest?limit=3'`],
    [
      "windows: the days of Dallas-Fort Worth from 8 to 10 March 2001",
      `curl '${functions}/daily-flights/keys/DFW?from=${Date.UTC(2001, 2, 8)}&to=${Date.UTC(2001, 2, 10)}'`,
    ],
    ["metrics", `curl ${internalUrl}/metrics`],
    ["the same from the command line", `npx keyfold get airport-stats DEN --url ${publicUrl}`],
  ];
  return [
    `The host is running at ${publicUrl} (internal: ${internalUrl}). Try, in another terminal:`,
    "",
    ...lines.map(([what, command]) => `${what === "" ? "" : `  # ${what}\n`}  ${command}`),
    "",
    "Ctrl-C stops the host. The next `npm start` goes on from here, and counts nothing twice.",
  ].join("\n");
}
