import type { Command } from "../command.ts";
import { EXIT } from "../exit-codes.ts";
import { PROJECT_OPTIONS } from "../project-options.ts";

export const build: Command = {
  name: "build",
  summary: "Bundle the functions.",
  description: "Writes a bundle, a source map and a manifest for each function. One that fails does not keep the others from being built.",
  arguments: [{ name: "functions...", summary: "names of the functions to build (default: all)" }],
  options: PROJECT_OPTIONS,
  json: "{ functions: [{ name, file, version, bytes, changed }], failures: [{ name, file, error }], removed, buildDir, ms }",
  examples: [
    ["keyfold build", "builds everything in functions/"],
    ["keyfold build cart --json", "builds one function and says so in JSON"],
  ],
  async run(context) {
    // Loaded when needed: esbuild and zod would slow down every other command.
    const [{ build: buildFunctions }, { buildDocument, reportBuild }, { projectConfig }] = await Promise.all([
      import("../../bundle/build.ts"),
      import("../build-report.ts"),
      import("../project-config.ts"),
    ]);
    const { output, rest } = context;
    const config = await projectConfig(context);
    const started = performance.now();
    const result = await buildFunctions(config, rest.length === 0 ? {} : { only: rest });
    const ms = performance.now() - started;
    if (output.json) output.document(buildDocument(config, result, ms));
    else reportBuild(output, config, result, ms);
    return result.failures.length > 0 || result.functions.length === 0 ? EXIT.failed : EXIT.ok;
  },
};
