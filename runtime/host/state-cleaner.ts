import { readdir } from "node:fs/promises";
import type { ResolvedConfig } from "../config/resolved.ts";
import { StateDirectory } from "../state/directory.ts";

/**
 * Removes task directories of this config's functions that nobody has used for `state.cleanup.delay.ms`; looks that often.
 * Directories in use are locked and left alone, as are those of tasks that belong here (their function may have failed); what was
 * removed is told.
 */
export class StateCleaner {
  readonly #config: ResolvedConfig;
  readonly #belongs: (application: string, task: string) => boolean;
  readonly #removed: (dirs: string[]) => void;
  readonly #timer: NodeJS.Timeout;
  #running: Promise<void> = Promise.resolve();

  constructor(config: ResolvedConfig, belongs: (application: string, task: string) => boolean, removed: (dirs: string[]) => void) {
    this.#config = config;
    this.#belongs = belongs;
    this.#removed = removed;
    const delay = Math.min(2 ** 31 - 1, Math.max(1_000, config.engine["state.cleanup.delay.ms"]));
    this.#timer = setInterval(() => {
      this.#running = this.clean();
    }, delay);
    this.#timer.unref();
  }

  async clean(): Promise<void> {
    const { name, engine } = this.#config;
    const stateDir = engine["state.dir"];
    const applications = await readdir(stateDir).catch(() => [] as string[]);
    for (const application of applications) {
      if (!application.startsWith(`${name}-`)) continue;
      const removed = await new StateDirectory(stateDir, application)
        .clean({ delayMs: engine["state.cleanup.delay.ms"], now: Date.now, keep: (task) => this.#belongs(application, task) })
        .catch(() => []);
      if (removed.length > 0) this.#removed(removed);
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#running;
  }
}
