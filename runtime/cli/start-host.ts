import { relative } from "node:path";
import { build, isStale } from "../bundle/build.ts";
import type { ResolvedConfig } from "../config/resolved.ts";
import { KeyfoldError } from "../errors.ts";
import { startHost } from "../host/host.ts";
import { buildDocument, reportBuild } from "./build-report.ts";
import type { CommandContext } from "./command.ts";
import { EXIT } from "./exit-codes.ts";
import type { Output } from "./output.ts";
import { projectConfig } from "./project-config.ts";
import { restoreProgress } from "./restore-progress.ts";

/** Builds what is stale, then runs a host until `stopped`. */
export async function startAndServe(context: CommandContext, stopped: Promise<"stopped">): Promise<number> {
  const config = await projectConfig(context);
  return (await buildWhenStale(context.output, config)) ? serve(config, context, stopped) : EXIT.failed;
}

/** Runs a host until told to stop. */
async function serve(config: ResolvedConfig, { output }: CommandContext, stopped: Promise<"stopped">): Promise<number> {
  const host = await startHost(config, { onRestore: restoreProgress(output) });
  let committed = false;
  try {
    announce(output, "listening", host);
    const running = host.running.then(() => "running" as const);
    // Until every task runs an error ends the host; after that it is a matter of the function it happened in.
    if ((await Promise.race([running, stopped])) === "running") {
      announce(output, "running", host);
      await stopped;
    }
    running.catch(() => {});
    if (!output.json) output.note("stopping");
  } finally {
    committed = await host.stop();
  }
  return committed ? EXIT.ok : EXIT.uncommitted;
}

/** The two lines that tell where a host is and that it runs. */
export function announce(
  output: Output,
  event: "listening" | "running",
  host: { readonly publicUrl: string; readonly internalUrl: string },
): void {
  if (event === "listening") {
    if (output.json) output.document({ event, public: host.publicUrl, internal: host.internalUrl });
    else output.note(`listening  ${output.style(host.publicUrl, "cyan")} (public)  ${output.style(host.internalUrl, "cyan")} (internal)`);
  } else if (output.json) output.document({ event });
  else output.success("every task runs");
}

async function buildWhenStale(output: Output, config: ResolvedConfig): Promise<boolean> {
  if (!(await isStale(config))) return true;
  const started = performance.now();
  const result = await build(config);
  const ms = performance.now() - started;
  const failed = result.failures.length > 0;
  if (!failed && result.functions.length === 0) throw noFunctions(config);
  // With --json stdout begins with the listening line, so a build only speaks when it fails.
  if (!output.json) reportBuild(output, config, result, ms);
  else if (failed) output.document({ event: "build-failed", ...buildDocument(config, result, ms) });
  return !failed;
}

function noFunctions(config: ResolvedConfig): KeyfoldError {
  const dir = relative(config.root, config.functionsDir) || config.functionsDir;
  return new KeyfoldError(
    "config-invalid",
    `there is nothing to run: no function in ${dir}\nA function is a .ts or .js file there; \`keyfold init\` writes a first one.`,
    { details: { functionsDir: config.functionsDir } },
  );
}
