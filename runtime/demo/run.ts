import type { HostApi } from "../host/api.ts";
import type { RunningHost } from "../host/host.ts";
import type { Log } from "../log/log.ts";
import { type Fed, feed } from "./feeder.ts";
import { readFiles } from "./files.ts";
import type { Output } from "./output.ts";
import { entries, report } from "./report.ts";
import { settled } from "./settle.ts";
import { number, tables, type WatchMoves } from "./tables.ts";

export interface RunOptions {
  /** Events a second; 0: as fast as they go. */
  readonly rate: number;
  readonly stop: AbortSignal;
  readonly output: Output;
}

/** Feeds the files, waits until the functions have computed all of it, reports. False: stopped before that. */
export async function run({ api, log }: Pick<RunningHost, "api" | "log">, { rate, stop, output }: RunOptions): Promise<boolean> {
  const started = performance.now();
  const watch = await watchMoves(api);
  let fed: Fed;
  try {
    fed = await feedFiles(log, rate, stop, output, () => `watch list: ${watch.on} on, ${watch.off} off`);
    await processAll(api, stop, output);
  } finally {
    watch.end();
  }
  if (stop.aborted) return false;
  const seconds = Math.round(performance.now() - started) / 1000;
  output.say(summary(fed, seconds));
  const moves: WatchMoves = { on: watch.on, off: watch.off };
  const result = await report(api);
  output.tell("report", { ...fed, seconds, moves, ...result });
  output.print(`\n${tables(result, moves)}`);
  return true;
}

async function feedFiles(log: Log, rate: number, stop: AbortSignal, output: Output, note: () => string): Promise<Fed> {
  const display = output.progress("feeding");
  try {
    return await feed(log, await readFiles(), { rate, signal: stop, onProgress: ({ fed, total }) => display.update(fed, total, note()) });
  } finally {
    display.end();
  }
}

/** Follows the watch list live: a new key came on it, a null took one off. */
async function watchMoves(api: HostApi): Promise<WatchMoves & { end(): void }> {
  const listed = new Set((await entries(api, "delay-watch")).map(({ key }) => key));
  const moves = { on: 0, off: 0 };
  const end = api.live("delay-watch", undefined, (json) => {
    const { key, value } = JSON.parse(json) as { key: string; value: unknown };
    if (value === null ? listed.delete(key) : !listed.has(key)) moves[value === null ? "off" : "on"]++;
    if (value !== null) listed.add(key);
  });
  return Object.assign(moves, { end });
}

async function processAll(api: HostApi, stop: AbortSignal, output: Output): Promise<void> {
  const display = output.progress("processing");
  let most = 0;
  try {
    await settled(api, {
      signal: stop,
      onProgress(behind) {
        most = Math.max(most, behind);
        if (most > 0) display.update(most - behind, most);
      },
    });
  } finally {
    display.end();
  }
}

function summary({ fed, before, total }: Fed, seconds: number): string {
  if (fed === before) return `all ${number(total)} events were fed by an earlier run: nothing is fed, or counted, twice`;
  const earlier = before === 0 ? "" : `; ${number(before)} had been fed by an earlier run`;
  return `${number(fed - before)} events fed and processed in ${seconds.toFixed(1)} s${earlier}`;
}
