import { rm } from "node:fs/promises";
import { join } from "node:path";
import { HostProcess } from "../chaos/host-process.ts";
import { until } from "../fixtures/until.ts";

/** One of the hosts over all its lives. */
export class PoolHost {
  readonly name: string;
  readonly stateDir: string;
  readonly #projectDir: string;
  #process: HostProcess | undefined;
  #urls: { readonly public: string; readonly internal: string } | undefined;
  /** What its lives before this one wrote to stderr. */
  #said = "";

  constructor(projectDir: string, name: string) {
    this.#projectDir = projectDir;
    this.name = name;
    this.stateDir = join(projectDir, `state-${name}`);
  }

  /** Resolves when it listens. */
  async start(): Promise<void> {
    const process = new HostProcess(this.#projectDir, this.stateDir);
    this.#process = process;
    this.#urls = await process.listening;
  }

  get url(): string | undefined {
    return this.#urls?.public;
  }

  /** Everything it has ever logged. */
  get said(): string {
    return this.#said + (this.#process?.stderr ?? "");
  }

  async kill(): Promise<void> {
    const process = this.#process;
    this.#urls = undefined;
    await process?.kill();
    this.#said = this.said;
    this.#process = undefined;
  }

  async stop(): Promise<number | null> {
    const code = (await this.#process?.stop()) ?? null;
    this.#said = this.said;
    this.#process = undefined;
    this.#urls = undefined;
    return code;
  }

  pause(): void {
    this.#process?.child.kill("SIGSTOP");
  }

  resume(): void {
    this.#process?.child.kill("SIGCONT");
  }

  wipe(): Promise<void> {
    return rm(this.stateDir, { recursive: true, force: true });
  }

  /** Tasks of a function that run here now. */
  async running(fn: string): Promise<number> {
    const response = await fetch(`${this.#urls?.internal}/v1/tasks`);
    const { tasks } = (await response.json()) as { tasks: { function: string; state: string }[] };
    return tasks.filter((task) => task.function === fn && task.state === "RUNNING").length;
  }

  /** Resolves when it has logged something that `pattern` finds after the first `from` characters. */
  logs(pattern: RegExp, from: number): Promise<unknown> {
    return until(`${this.name} logs ${pattern}`, () => pattern.test(this.said.slice(from)), 30_000);
  }
}

/** Asks each host in turn until one answers with 200. */
export async function askAny<T>(hosts: readonly PoolHost[], path: string): Promise<T> {
  return until(`an answer to ${path}`, async () => {
    for (const { url } of hosts) {
      if (url === undefined) continue;
      const response = await fetch(`${url}${path}`, { signal: AbortSignal.timeout(5_000) }).catch(() => undefined);
      if (response?.status === 200) return (await response.json()) as T;
      await response?.body?.cancel();
    }
    return undefined;
  });
}
