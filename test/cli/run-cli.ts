import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { run } from "../../runtime/cli/program.ts";

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command in this process. `stop` is a way to press Ctrl-C. */
export async function cli(
  argv: readonly string[],
  options: { cwd?: string; environment?: Record<string, string>; onStop?: (stop: () => void) => void } = {},
): Promise<Ran> {
  let stdout = "";
  let stderr = "";
  const code = await run(argv, {
    stdout: { write: (text) => (stdout += text) },
    stderr: { write: (text) => (stderr += text) },
    stdin: {},
    cwd: options.cwd ?? process.cwd(),
    environment: options.environment ?? {},
    signals: {
      onStop(callback) {
        options.onStop?.(callback);
        return () => {};
      },
    },
  });
  return { code, stdout, stderr };
}

export interface Spawned {
  /** The next line of stdout, parsed. Rejects when the process ends first, with what it said on stderr. */
  line(): Promise<Record<string, unknown>>;
  kill(signal: NodeJS.Signals): void;
  readonly exited: Promise<number | null>;
  readonly stderr: () => string;
}

/** Starts the command line as a process of its own, ended after the test. */
export function spawnCli(t: TestContext, argv: readonly string[], cwd: string, command: readonly string[] = sourceCommand()): Spawned {
  const [program = "", ...first] = command;
  const child = spawn(program, [...first, ...argv], { cwd, stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, NODE_OPTIONS: "" } });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const exited = new Promise<number | null>((resolve) => child.once("close", resolve));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  t.after(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
    await exited;
  });
  return {
    async line() {
      const { value, done } = await lines.next();
      if (done === true) throw new Error(`the process ended: ${stderr}`);
      return JSON.parse(value) as Record<string, unknown>;
    },
    kill: (signal) => void child.kill(signal),
    exited,
    stderr: () => stderr,
  };
}

function sourceCommand(): string[] {
  return [
    process.execPath,
    "--conditions=keyfold-source",
    "--disable-warning=ExperimentalWarning",
    fileURLToPath(new URL("../../runtime/cli/bin.ts", import.meta.url)),
  ];
}
