import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../runtime/demo/main.ts", import.meta.url));

export type DemoEvent = { readonly event: string } & Readonly<Record<string, unknown>>;

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly events: readonly DemoEvent[];
  readonly stdout: string;
  readonly stderr: string;
}

/** A real process of the demo. */
export class DemoProcess {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  readonly #events: DemoEvent[] = [];
  readonly #seen: ((event: DemoEvent) => void)[] = [];
  #stdout = "";
  #stderr = "";

  constructor(args: readonly string[], environment: Readonly<Record<string, string>> = {}) {
    const flags = ["--conditions=keyfold-source", "--disable-warning=ExperimentalWarning"];
    const child = spawn(process.execPath, [...flags, MAIN, ...args], {
      env: { ...process.env, ...environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.child = child;
    child.stderr.on("data", (chunk: Buffer) => (this.#stderr += chunk.toString()));
    const lines = createInterface({ input: child.stdout });
    lines.on("line", (line) => this.#line(line));
    this.ended = Promise.all([once(child, "close"), once(lines, "close")]).then(([[code, signal]]) => ({
      code: code as number | null,
      signal: signal as NodeJS.Signals | null,
      events: this.#events,
      stdout: this.#stdout,
      stderr: this.#stderr,
    }));
  }

  /** The first event that fits; rejects when the process ends without one. */
  event(fits: (event: DemoEvent) => boolean): Promise<DemoEvent> {
    const found = this.#events.find(fits);
    if (found !== undefined) return Promise.resolve(found);
    const seen = new Promise<DemoEvent>((resolve) => this.#seen.push((event) => fits(event) && resolve(event)));
    const gone = this.ended.then(({ code, signal, stderr }) =>
      Promise.reject(new Error(`the demo ended (${code ?? signal}) before the event came:\n${stderr}`)),
    );
    return Promise.race([seen, gone]);
  }

  #line(line: string): void {
    this.#stdout += `${line}\n`;
    if (!line.startsWith("{")) return;
    const event = JSON.parse(line) as DemoEvent;
    this.#events.push(event);
    for (const seen of this.#seen) seen(event);
  }
}
