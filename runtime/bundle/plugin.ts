import type { OnResolveResult, Plugin } from "esbuild";
import { builtin, WHY_FORBIDDEN } from "./builtins.ts";
import type { KeyfoldModule } from "./keyfold-module.ts";

const KEYFOLD = "keyfold";
const BUILTIN = "node-builtin";

/** Marks the errors that become `forbidden-import`. */
export interface ForbiddenImport {
  readonly forbidden: string;
  readonly importer: string;
}

/** Gives functions this package's `keyfold`, and only those of Node's modules a reducer may use. */
export function functionPlugin(keyfold: KeyfoldModule): Plugin {
  return {
    name: "keyfold",
    setup(build) {
      build.onResolve({ filter: /^keyfold(\/.*)?$/ }, ({ path, importer }): OnResolveResult => {
        if (path === "keyfold") return { path, namespace: KEYFOLD, sideEffects: false };
        const forbidden: ForbiddenImport = { forbidden: path, importer };
        return {
          errors: [
            {
              text: `${JSON.stringify(path)} cannot be imported by a function`,
              notes: [{ text: `A function imports "keyfold"; ${path} is for configs, tests and tools.` }],
              detail: forbidden,
            },
          ],
        };
      });
      build.onResolve({ filter: /.*/, namespace: KEYFOLD }, ({ path }) => ({ path, namespace: KEYFOLD, sideEffects: false }));
      build.onLoad({ filter: /.*/, namespace: KEYFOLD }, ({ path }) => ({ contents: keyfold.sources.get(path) ?? "", loader: "js" }));

      build.onResolve(
        { filter: /^(node:)?[a-z0-9_]+(\/[a-z0-9_/]+)?$/ },
        ({ path, kind, importer, namespace }): OnResolveResult | undefined => {
          const module = builtin(path);
          if (module === undefined || kind === "entry-point") return undefined;
          if (module.kind === "forbidden") {
            const forbidden: ForbiddenImport = { forbidden: module.name, importer };
            return {
              errors: [
                {
                  text: `a function cannot import Node's ${JSON.stringify(module.name)}`,
                  notes: [{ text: WHY_FORBIDDEN }],
                  detail: forbidden,
                },
              ],
            };
          }
          // `require` of CommonJS packages: a module cannot call it, so it gets a CommonJS shell around an import.
          if (kind === "require-call" && namespace !== BUILTIN) return { path: module.name, namespace: BUILTIN };
          return { path: `node:${module.name}`, external: true, sideEffects: false };
        },
      );
      build.onLoad({ filter: /.*/, namespace: BUILTIN }, ({ path }) => ({
        contents: `import builtin from "node:${path}"; module.exports = builtin;`,
        loader: "js",
      }));
    },
  };
}
