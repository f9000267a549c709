import type { Signals } from "./command.ts";
import { EXIT } from "./exit-codes.ts";

/** A terminal and npm both pass a Ctrl-C on; what comes within so many ms is the same one. */
const SAME_MS = 500;

/** SIGINT and SIGTERM: the first asks to stop, the second does not ask. */
export function processSignals(): Signals {
  return {
    onStop(callback) {
      let asked = 0;
      const stop = (): void => {
        const now = Date.now();
        if (asked === 0) {
          asked = now;
          callback();
        } else if (now - asked > SAME_MS) process.exit(EXIT.interrupted);
      };
      process.on("SIGINT", stop);
      process.on("SIGTERM", stop);
      return () => {
        process.off("SIGINT", stop);
        process.off("SIGTERM", stop);
      };
    },
  };
}
