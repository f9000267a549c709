import type { Command } from "../command.ts";
import { HOST_OPTIONS } from "../project-options.ts";

export const start: Command = {
  name: "start",
  summary: "Run a host on the built functions.",
  description:
    "Builds first when the builds are stale. SIGTERM or Ctrl-C stops it cleanly: everything is committed; a second one does not wait.",
  options: HOST_OPTIONS,
  json: 'one document a line: { event: "listening", public, internal }, then { event: "running" } when every task runs',
  examples: [
    ["keyfold start", "runs on ports 8787 and 8788"],
    ["keyfold start --port 0 --internal-port 0 --json", "picks free ports and says which"],
  ],
  async run(context) {
    const { signals } = context;
    let stopAsked: () => void = () => {};
    const stopped = new Promise<"stopped">((resolve) => (stopAsked = () => resolve("stopped")));
    const undo = signals.onStop(stopAsked);
    try {
      const { startAndServe } = await import("../start-host.ts");
      return await startAndServe(context, stopped);
    } finally {
      undo();
    }
  },
};
