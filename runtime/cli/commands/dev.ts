import type { ResolvedConfig } from "../../config/resolved.ts";
import { KeyfoldError } from "../../errors.ts";
import type { Command } from "../command.ts";
import type { DevSession as Session } from "../dev-session.ts";
import { EXIT } from "../exit-codes.ts";
import { HOST_OPTIONS } from "../project-options.ts";

export const dev: Command = {
  name: "dev",
  summary: "Run the functions, and again whenever they change.",
  description:
    "A changed function is swapped in place and keeps its state; one that does not build leaves its last good version running. A config that is not valid, or that a host cannot start with, leaves the one before in force. States are frozen, so a reducer that changes one in place fails loudly.",
  options: HOST_OPTIONS,
  json: 'one document a line: { event: "listening" | "running" | "built" | "failed" | "removed" | "config-changed", ... }',
  examples: [["keyfold dev", "runs everything in functions/ on ports 8787 and 8788"]],
  async run(context) {
    const { output, signals } = context;
    const [{ DevSession }, { projectConfig }] = await Promise.all([import("../dev-session.ts"), import("../project-config.ts")]);
    let wake: (why: "stop" | "config") => void = () => {};
    let asked = false;
    const undo = signals.onStop(() => {
      asked = true;
      wake("stop");
    });
    try {
      let config: ResolvedConfig = await projectConfig(context, true);
      let before: ResolvedConfig | undefined;
      while (!asked) {
        const woken = new Promise<"stop" | "config">((resolve) => (wake = resolve));
        let session: Session;
        try {
          session = await DevSession.start(config, output, () => wake("config"));
        } catch (thrown) {
          // A config may be valid, and the host not start with it: a topic with other partitions, a port that is taken.
          if (before === undefined) throw thrown;
          output.error(KeyfoldError.from(thrown));
          output.note("starting again with the config as it was");
          config = before;
          before = undefined;
          continue;
        }
        try {
          before = undefined;
          const next = asked ? undefined : await nextConfig(woken);
          if (next !== undefined) [before, config] = [config, next];
        } finally {
          await session.close();
        }
      }
      return EXIT.ok;
    } finally {
      undo();
    }

    /** Waits for the end, or for a config that is valid; one that is not is told, and the old one stays. */
    async function nextConfig(woken: Promise<"stop" | "config">): Promise<ResolvedConfig | undefined> {
      for (let next = woken; ; ) {
        if ((await next) === "stop" || asked) return undefined;
        // It may change again while it is read.
        let changed = false;
        next = new Promise((resolve) => {
          wake = (why) => {
            changed = true;
            resolve(why);
          };
        });
        try {
          const config = await projectConfig(context, true);
          if (changed) continue;
          if (output.json) output.document({ event: "config-changed" });
          else output.note("the config has changed: starting again, with the state as it is");
          return config;
        } catch (thrown) {
          output.error(KeyfoldError.from(thrown));
          output.note("the config as it was stays in force");
        }
      }
    }
  },
};
