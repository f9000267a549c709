import { Command, InvalidArgumentError } from "commander";

/** Two seconds for the files: long enough to see the watch list change. */
const DEFAULT_RATE = 10_000;

export interface DemoOptions {
  /** Public port; undefined: the config's, or any free one where that is taken. */
  readonly port: number | undefined;
  readonly internalPort: number | undefined;
  readonly stateDir: string | undefined;
  /** Events a second; 0: as fast as they go. */
  readonly rate: number;
  /** Machine-readable lines on stdout. */
  readonly json: boolean;
  /** Stop after the report. */
  readonly exit: boolean;
}

/** Reads the command line; `--help` and mistakes end the process, with 0 and 2. */
export function parseOptions(args: readonly string[]): DemoOptions {
  const command = new Command("npm start --")
    .description(
      "Builds functions/, starts a host on the embedded log, feeds it 20 000 real flights, prints what the functions computed, and leaves the host running.",
    )
    .option("--port <number>", "port for events and queries (default: 8787, or any free one when that is taken; 0: any)", whole(0, 65_535))
    .option("--internal-port <number>", "port for metrics, tasks and topics (default: 8788, or any free one)", whole(0, 65_535))
    .option("--state-dir <directory>", "where the log and the state are kept (default: that of the config, .keyfold/state)")
    .option(
      "--rate <events>",
      "feed so many events a second, slow enough to watch; 0: as fast as they go",
      whole(0, 1_000_000),
      DEFAULT_RATE,
    )
    .option("--json", "one JSON object a line on stdout: listening, running, progress, report, stopped", false)
    .option("--exit", "stop after the report", false)
    .allowExcessArguments(false)
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));
  command.parse(args, { from: "user" });
  const { port, internalPort, stateDir, rate = DEFAULT_RATE, json, exit } = command.opts<Partial<DemoOptions>>();
  return { port, internalPort, stateDir, rate, json: json === true, exit: exit === true };
}

function whole(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < least || value > most)
      throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
    return value;
  };
}
