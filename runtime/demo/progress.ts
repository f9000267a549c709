import { SingleBar } from "cli-progress";
import { number } from "./tables.ts";

/** Tells how far a long step is. On stderr: stdout is for results. */
export interface Progress {
  update(done: number, total: number, note?: string): void;
  /** Ends the display; calling it twice is harmless. */
  end(): void;
}

/** A bar on a terminal, else a line for each tenth of the way. */
export function progress(label: string, stream: NodeJS.WriteStream = process.stderr): Progress {
  return stream.isTTY ? bar(label, stream) : lines(label, stream);
}

function bar(label: string, stream: NodeJS.WriteStream): Progress {
  // Ctrl-C is the demo's business: it stops the host, and then the bar.
  const display = new SingleBar({
    format: `${label} {bar} {shown} {note}`,
    barsize: 30,
    barCompleteChar: "█",
    barIncompleteChar: "░",
    hideCursor: true,
    clearOnComplete: true,
    gracefulExit: false,
    stream,
  });
  let started = false;
  return {
    update(done, total, note = "") {
      const payload = { shown: `${number(done)} of ${number(total)}`, note };
      if (!started) display.start(total, done, payload);
      started = true;
      display.setTotal(total);
      display.update(done, payload);
    },
    end() {
      if (started) display.stop();
      started = false;
    },
  };
}

function lines(label: string, stream: NodeJS.WriteStream): Progress {
  let tenth = -1;
  return {
    update(done, total, note = "") {
      const now = total === 0 ? 10 : Math.floor((done * 10) / total);
      if (now === tenth) return;
      tenth = now;
      stream.write(`${label} ${number(done)} of ${number(total)}${note === "" ? "" : ` ${note}`}\n`);
    },
    end() {},
  };
}
