import { type Dirent, readdirSync } from "node:fs";
import { join, relative } from "node:path";
import { nearest } from "../config/check.ts";
import type { ResolvedConfig } from "../config/resolved.ts";
import { NAME } from "../config/schema.ts";
import { KeyfoldError } from "../errors.ts";

export interface FunctionFile {
  readonly name: string;
  /** Absolute. */
  readonly file: string;
}

export interface FunctionFiles {
  readonly functions: readonly FunctionFile[];
  /** Files that should be functions and cannot be, by the name they would have had. */
  readonly refused: readonly { readonly name: string; readonly file: string; readonly error: KeyfoldError }[];
}

const SOURCE = /\.(ts|tsx|mts|js|jsx|mjs)$/;
const NOT_A_FUNCTION = /^[_.]|\.(test|spec)\.[a-z]+$|\.d\.m?ts$/;

/**
 * The functions of a project: one for each file of the functions directory, and for each directory in it with an index
 * file. Left out: what begins with `_` or `.`, and tests.
 * @throws KeyfoldError `config-invalid` when the directory is missing, or the config has settings for a function that is not there.
 */
export function functionFiles(config: ResolvedConfig): FunctionFiles {
  const found = entries(config)
    .filter((entry) => !NOT_A_FUNCTION.test(entry.name))
    .flatMap((entry) => candidate(config.functionsDir, entry))
    .sort((a, b) => (a.file < b.file ? -1 : 1));
  const functions: FunctionFile[] = [];
  const refused: { name: string; file: string; error: KeyfoldError }[] = [];
  for (const { name, file } of found) {
    const where = relative(config.root, file);
    const twin = found.find((other) => other.name === name && other.file !== file);
    if (!NAME.test(name)) {
      refused.push({
        name,
        file,
        error: invalid(
          `${where}: ${JSON.stringify(name)} cannot be a function's name, which is its file's; use a-z 0-9 . _ -, beginning with a letter or digit, 100 at most`,
          name,
        ),
      });
    } else if (twin !== undefined) {
      refused.push({
        name,
        file,
        error: invalid(
          `${where}: there is another function ${JSON.stringify(name)}, ${relative(config.root, twin.file)}; rename one of the two`,
          name,
        ),
      });
    } else functions.push({ name, file });
  }
  checkConfigured(
    config,
    found.map(({ name }) => name),
  );
  return { functions, refused };
}

function entries(config: ResolvedConfig): Dirent[] {
  try {
    return readdirSync(config.functionsDir, { withFileTypes: true });
  } catch (cause) {
    throw new KeyfoldError(
      "config-invalid",
      `there is no directory ${relative(config.root, config.functionsDir) || config.functionsDir} with functions in ${config.root}; run \`keyfold init\` to begin a project, or set functionsDir`,
      { cause, details: { functionsDir: config.functionsDir } },
    );
  }
}

function candidate(dir: string, entry: Dirent): FunctionFile[] {
  const path = join(dir, entry.name);
  if (entry.isDirectory()) {
    const index = readdirSync(path).filter((name) => /^index\./.test(name) && SOURCE.test(name) && !NOT_A_FUNCTION.test(name));
    return index.map((name) => ({ name: entry.name, file: join(path, name) }));
  }
  return SOURCE.test(entry.name) ? [{ name: entry.name.replace(SOURCE, ""), file: path }] : [];
}

function checkConfigured(config: ResolvedConfig, names: readonly string[]): void {
  const missing = Object.keys(config.functions).filter((name) => !names.includes(name));
  if (missing.length === 0) return;
  const lines = missing.map((name) => {
    const near = nearest(name, names);
    return `  functions.${name}: there is no such function; ${near === undefined ? `the functions are ${names.join(", ") || "none yet"}` : `did you mean ${JSON.stringify(near)}?`}`;
  });
  throw new KeyfoldError("config-invalid", `the config has settings for functions that are not there:\n${lines.join("\n")}`, {
    details: { missing, functions: names },
  });
}

function invalid(message: string, name: string): KeyfoldError {
  return new KeyfoldError("function-invalid", message, { details: { function: name } });
}
