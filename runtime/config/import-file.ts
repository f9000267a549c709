import { dirname, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { type BuildFailure, build } from "esbuild";
import { codeFrames } from "../bundle/code-frame.ts";
import { KeyfoldError } from "../errors.ts";

/**
 * What a config file exports as default. The file and all it imports is bundled first, so that TypeScript works on every
 * Node and nothing is written to disk; `keyfold/config` is this very package's.
 */
export async function importConfigFile(file: string): Promise<unknown> {
  const code = await bundle(file);
  let module: { default?: unknown };
  try {
    module = (await import(`data:text/javascript;base64,${Buffer.from(code).toString("base64")}`)) as { default?: unknown };
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new KeyfoldError("config-invalid", `${file} threw while it was read: ${message}`, { cause, details: { file } });
  }
  if (module.default === undefined) {
    throw new KeyfoldError("config-invalid", `${file} has no default export; write \`export default defineConfig({ ... })\``, {
      details: { file },
    });
  }
  return module.default;
}

async function bundle(file: string): Promise<string> {
  const url = pathToFileURL(file).href;
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  try {
    const { outputFiles } = await build({
      entryPoints: [file],
      absWorkingDir: dirname(file),
      alias: { "keyfold/config": fileURLToPath(new URL(`./index.${extension}`, import.meta.url)) },
      bundle: true,
      write: false,
      format: "esm",
      platform: "node",
      target: "node20",
      logLevel: "silent",
      define: {
        "import.meta.url": JSON.stringify(url),
        "import.meta.filename": JSON.stringify(file),
        "import.meta.dirname": JSON.stringify(dirname(file)),
        __filename: JSON.stringify(file),
        __dirname: JSON.stringify(dirname(file)),
      },
      // CommonJS packages ask for Node's modules through `require`, which a module does not have.
      banner: {
        js: `import { createRequire as keyfoldRequire } from "node:module"; const require = keyfoldRequire(${JSON.stringify(url)});`,
      },
    });
    return outputFiles[0]?.text ?? "";
  } catch (cause) {
    const frames = codeFrames((cause as BuildFailure).errors ?? []);
    const name = relative(process.cwd(), file) || file;
    throw new KeyfoldError("config-invalid", `${name} cannot be read:\n${frames || String(cause)}`, { cause, details: { file } });
  }
}
