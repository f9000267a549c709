import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

/** keyfold itself, ready to be bundled into functions. */
export interface KeyfoldModule {
  /** Source text by module: `keyfold`, and what it needs from npm. */
  readonly sources: ReadonlyMap<string, string>;
  /** Absolute paths of the files it was made from. */
  readonly inputs: readonly string[];
}

/** npm packages that keyfold's public part imports. Modules of their own, so that a function that needs none carries none. */
const PACKAGES = ["msgpackr"];

/**
 * The public part of this very package as one module each: the same text whether it runs from the repository or from
 * node_modules, however deep, so that bundles do not depend on where keyfold lies.
 */
export async function keyfoldModule(): Promise<KeyfoldModule> {
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  const root = fileURLToPath(new URL("..", import.meta.url));
  const made = await Promise.all([prebuild("keyfold", join(root, `index.${extension}`)), ...PACKAGES.map((name) => prebuild(name, name))]);
  return { sources: new Map(made.map(({ name, text }) => [name, text])), inputs: [...new Set(made.flatMap(({ inputs }) => inputs))] };

  async function prebuild(name: string, entry: string): Promise<{ name: string; text: string; inputs: string[] }> {
    const { outputFiles, metafile } = await build({
      stdin: { contents: `export * from ${JSON.stringify(entry)};`, resolveDir: root, sourcefile: name },
      absWorkingDir: dirname(root),
      bundle: true,
      write: false,
      metafile: true,
      format: "esm",
      platform: "neutral",
      // msgpackr's form for browsers is the one without native code.
      conditions: ["browser"],
      mainFields: ["module", "main"],
      external: PACKAGES.filter((other) => other !== name),
      // Only of packages: it would take the marks of what may be left out from keyfold.
      minifyWhitespace: name !== "keyfold",
      legalComments: "none",
      logLevel: "silent",
    });
    const inputs = Object.keys(metafile.inputs).filter((path) => path !== name);
    return { name, text: outputFiles[0]?.text ?? "", inputs: inputs.map((path) => join(dirname(root), path)) };
  }
}
