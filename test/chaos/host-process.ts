import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const BIN = fileURLToPath(new URL("../../runtime/cli/bin.ts", import.meta.url));

/** A real `keyfold start --json` process on a project. */
export class HostProcess {
  readonly child: ChildProcess;
  /** The public and the internal URL. */
  readonly listening: Promise<{ readonly public: string; readonly internal: string }>;
  /** Every task runs. */
  readonly running: Promise<void>;
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
  /** What it wrote to stderr, log lines among it. */
  stderr = "";

  constructor(projectDir: string, stateDir: string, args: readonly string[] = []) {
    const flags = ["--conditions=keyfold-source", "--disable-warning=ExperimentalWarning"];
    const start = ["start", "--json", "--port", "0", "--internal-port", "0", "--state-dir", stateDir, ...args];
    const child = spawn(process.execPath, [...flags, BIN, ...start], { cwd: projectDir, stdio: ["ignore", "pipe", "pipe"] });
    this.child = child;
    child.stderr.on("data", (chunk: Buffer) => {
      this.stderr += chunk.toString();
    });
    const lines = createInterface({ input: child.stdout });
    this.ended = once(child, "close").then(([code, signal]) => ({ code: code as number | null, signal: signal as NodeJS.Signals | null }));
    const gone = this.ended.then(({ code, signal }) => Promise.reject(new Error(`the host ended (${code ?? signal}):\n${this.stderr}`)));
    const event = <T>(name: string): Promise<T> => {
      const seen = new Promise<T>((resolve) =>
        lines.on("line", (line) => line.startsWith(`{"event":"${name}"`) && resolve(JSON.parse(line) as T)),
      );
      const first = Promise.race([seen, gone]);
      // A host that is killed before it comes so far is no error of a test that does not wait for it.
      first.catch(() => {});
      return first;
    };
    this.listening = event("listening");
    this.running = event<unknown>("running").then(() => {});
    this.running.catch(() => {});
  }

  /** SIGKILL, as a crash; resolves when the process is gone. */
  async kill(): Promise<void> {
    this.child.kill("SIGKILL");
    await this.ended;
  }

  /** SIGTERM; resolves to the exit code. */
  async stop(): Promise<number | null> {
    this.child.kill("SIGTERM");
    return (await this.ended).code;
  }
}
