import { exitCodeOf } from "../cli/exit-codes.ts";
import { processSignals } from "../cli/signals.ts";
import { KeyfoldError } from "../errors.ts";
import { demo } from "./demo.ts";
import { parseOptions } from "./options.ts";

/** What `npm start` runs: the example functions on real events. Not part of the published package. */
const options = parseOptions(process.argv.slice(2));
const stop = new AbortController();
// A second Ctrl-C is for whoever does not want to wait. Nothing is lost: the next start replays from the last commit.
processSignals().onStop(() => stop.abort());
// Whoever read our output has gone, as `head` does.
process.stdout.on("error", () => stop.abort());
try {
  await demo(options, stop.signal);
} catch (thrown) {
  const error = KeyfoldError.from(thrown);
  process.stderr.write(`${error.code === "internal" ? (error.stack ?? error.message) : error.message}\n`);
  process.exitCode = exitCodeOf(error);
}
