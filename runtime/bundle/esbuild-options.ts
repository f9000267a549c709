import { join, relative } from "node:path";
import type { BuildOptions } from "esbuild";
import type { ResolvedConfig } from "../config/resolved.ts";
import type { FunctionFile } from "./function-files.ts";
import type { KeyfoldModule } from "./keyfold-module.ts";
import { functionPlugin } from "./plugin.ts";

/** How a function is bundled. The same source gives the same bytes: nothing here depends on the machine, the time or the place. */
export function functionOptions(config: ResolvedConfig, { name, file }: FunctionFile, keyfold: KeyfoldModule) {
  return {
    entryPoints: [relative(config.root, file)],
    absWorkingDir: config.root,
    outfile: join(config.buildDir, name, "bundle.mjs"),
    bundle: true,
    write: false,
    metafile: true,
    format: "esm",
    platform: "node",
    target: "node20",
    sourcemap: "linked",
    sourcesContent: true,
    charset: "utf8",
    legalComments: "none",
    logLevel: "silent",
    plugins: [functionPlugin(keyfold)],
  } satisfies BuildOptions;
}

export type FunctionOptions = ReturnType<typeof functionOptions>;
