export interface Urls {
  readonly publicUrl: string;
  readonly internalUrl: string;
}

/** Commands to try while the demo's host runs; each works as printed. */
export function hints({ publicUrl, internalUrl }: Urls): string {
  const functions = `${publicUrl}/v1/functions`;
  const flight = '{"date":"2001/04/01 09:00","delay":240,"distance":337,"origin":"SFO","destination":"LAX"}';
  const json = "-H 'content-type: application/json'";
  const lines: readonly (readonly [what: string, command: string])[] = [
    ["one key", `curl ${functions}/airport-stats/keys/SFO`],
    ["a range", `curl '${functions}/airport-stats/keys?from=S&to=T&limit=3'`],
    ["how many", `curl '${functions}/delay-watch/keys?count'`],
    ["append an event", `curl ${publicUrl}/v1/topics/flights/records ${json} -d '{"key":"SFO","value":${flight}}'`],
    ["one key again", `curl ${functions}/airport-stats/keys/SFO`],
    ["append, and wait for the state", `curl '${functions}/airport-stats/keys/SFO?wait=committed' ${json} -d '${flight}'`],
    ["follow the watch list (Ctrl-C ends)", `curl -N ${functions}/delay-watch/live`],
    ["the function's own routes", `curl '${functions}/airport-stats/routes/busiest?limit=3'`],
    ["metrics", `curl ${internalUrl}/metrics`],
    ["the command line", `npx keyfold get airport-stats SFO --url ${publicUrl}`],
  ];
  return [`The host is running at ${publicUrl} (internal: ${internalUrl}). Try, in another terminal:`, "", ...lines.map(([what, command]) => `  # ${what}\n  ${command}`), "", "Ctrl-C stops it. The next `npm start` goes on from here, and counts nothing twice."].join("\n");
}
