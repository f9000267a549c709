import { build, type Message, type Metafile } from "esbuild";
import { KeyfoldError } from "../errors.ts";
import { builtin } from "./builtins.ts";
import { codeFrame, codeFrames } from "./code-frame.ts";
import type { FunctionOptions } from "./esbuild-options.ts";
import type { ForbiddenImport } from "./plugin.ts";

/** What esbuild says of a function's files, as an error of ours: `forbidden-import` or `build-failed`, with code frames. */
export async function bundleError(name: string, errors: readonly Message[], options: FunctionOptions): Promise<KeyfoldError> {
  const forbidden = errors.filter((error) => isForbidden(error.detail));
  if (forbidden.length > 0 && forbidden.length === errors.length) {
    const chains = await importChains(options, forbidden);
    const text = forbidden.map((error, i) => codeFrame(withChain(error, chains[i] ?? []))).join("\n\n");
    const modules = [...new Set(forbidden.map(({ detail }) => (detail as ForbiddenImport).forbidden))];
    return new KeyfoldError("forbidden-import", `function "${name}": ${text}`, { details: { function: name, modules, chains } });
  }
  return new KeyfoldError("build-failed", `function "${name}" does not build: ${codeFrames(errors.map(explained))}`, {
    details: { function: name, errors: errors.map(({ text, location }) => ({ text, location })) },
  });
}

function isForbidden(detail: unknown): detail is ForbiddenImport {
  return typeof detail === "object" && detail !== null && "forbidden" in detail;
}

/** The explanation comes once, under the frame; the chain before it. */
function withChain(error: Message, chain: readonly string[]): Message {
  if (chain.length < 3) return error;
  return { ...error, notes: [{ text: `It is imported by ${chain.slice(0, -1).join(" → ")}`, location: null }, ...error.notes] };
}

function explained(error: Message): Message {
  const [, missing] = /^Could not resolve "((?:@[^/"]+\/)?[^./"][^/"]*)/.exec(error.text) ?? [];
  if (missing !== undefined) return { ...error, notes: [{ text: `If it is an npm package: npm install ${missing}`, location: null }] };
  if (!/No loader is configured for "\.node" files/.test(error.text)) return error;
  return {
    ...error,
    notes: [
      {
        text: "Native addons cannot be bundled, nor moved between hosts; use a package of plain JavaScript or WebAssembly.",
        location: null,
      },
    ],
  };
}

/** For each refused import: the files that lead to it, the function's own first. Bundles once more with the refused ones let through. */
async function importChains(options: FunctionOptions, errors: readonly Message[]): Promise<string[][]> {
  const lenient = {
    name: "let-through",
    setup: (inner: Parameters<FunctionOptions["plugins"][number]["setup"]>[0]): void => {
      inner.onResolve({ filter: /^(node:|keyfold|[a-z0-9_/]+$)/ }, ({ path, kind }) =>
        kind !== "entry-point" && (builtin(path) !== undefined || path.startsWith("keyfold")) ? { path, external: true } : undefined,
      );
    },
  };
  let metafile: Metafile;
  try {
    ({ metafile } = await build({ ...options, sourcemap: false, plugins: [lenient] }));
  } catch {
    return errors.map(() => []);
  }
  const [entry = ""] = options.entryPoints;
  return errors.map(({ detail, location }) =>
    location === null ? [] : [...pathTo(metafile, entry, location.file), (detail as ForbiddenImport).forbidden],
  );
}

/** Shortest way from one input to another along imports. */
function pathTo(metafile: Metafile, from: string, to: string): string[] {
  const start = from.replaceAll("\\", "/");
  const cameFrom = new Map<string, string | undefined>([[start, undefined]]);
  for (const here of cameFrom.keys()) {
    if (here === to) break;
    for (const { path } of metafile.inputs[here]?.imports ?? []) if (!cameFrom.has(path)) cameFrom.set(path, here);
  }
  if (!cameFrom.has(to)) return [];
  const chain: string[] = [];
  for (let here: string | undefined = to; here !== undefined; here = cameFrom.get(here)) chain.unshift(here);
  return chain;
}
