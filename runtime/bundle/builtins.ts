import { builtinModules } from "node:module";

/** Node's modules a function may import: they compute, and touch nothing outside the function. */
export const ALLOWED_BUILTINS: readonly string[] = [
  "assert",
  "async_hooks",
  "buffer",
  "console",
  "constants",
  "crypto",
  "diagnostics_channel",
  "events",
  "path",
  "perf_hooks",
  "punycode",
  "querystring",
  "stream",
  "string_decoder",
  "timers",
  "url",
  "util",
  "zlib",
];

export type Builtin = { readonly kind: "allowed"; readonly name: string } | { readonly kind: "forbidden"; readonly name: string };

/** What an import specifier means: one of Node's modules (`node:` or not, `fs/promises` too), or undefined for anything else. */
export function builtin(specifier: string): Builtin | undefined {
  const prefixed = specifier.startsWith("node:");
  const name = prefixed ? specifier.slice(5) : specifier;
  if (!prefixed && !builtinModules.includes(name)) return undefined;
  const [base = name] = name.split("/");
  return { kind: ALLOWED_BUILTINS.includes(base) ? "allowed" : "forbidden", name };
}

/** Why, and what else: goes under every refusal. */
export const WHY_FORBIDDEN = [
  "A reducer gets the same state from the same events wherever and however often it runs, so it cannot reach files, the network, processes or the machine.",
  "Bring what it needs into its events, a table or a join, or do the work behind a topic it emits to.",
  `Node modules a function may import: ${ALLOWED_BUILTINS.join(", ")}.`,
].join("\n");
