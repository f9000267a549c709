import { existsSync, readFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { KeyfoldError } from "../errors.ts";

export const CONFIG_FILE = "wrangler-like.config.ts";
const NAMES = [CONFIG_FILE, "wrangler-like.config.mts", "wrangler-like.config.js", "wrangler-like.config.mjs"];

export interface Project {
  /** Absolute. */
  readonly root: string;
  /** Absolute; undefined when the project has no config file. */
  readonly file: string | undefined;
}

/**
 * The project a directory belongs to: the nearest config file, looked for upwards until a directory with a package.json
 * has been looked into. Without one the project is that directory, or the one begun with.
 */
export function locateProject(from: string, file?: string): Project {
  if (file !== undefined) {
    const path = resolve(from, file);
    if (!existsSync(path))
      throw new KeyfoldError(
        "config-invalid",
        `there is no config file ${path}; leave --config out to use ${CONFIG_FILE} of the project, or no file at all`,
      );
    return { root: dirname(path), file: path };
  }
  for (let dir = resolve(from); ; dir = dirname(dir)) {
    const found = NAMES.map((name) => join(dir, name)).find((path) => existsSync(path));
    if (found !== undefined) return { root: dir, file: found };
    if (existsSync(join(dir, "package.json"))) return { root: dir, file: undefined };
    if (dirname(dir) === dir) return { root: resolve(from), file: undefined };
  }
}

/** A name for the application when the config has none: the package's (`@shop/carts` → `shop-carts`), else the directory's. */
export function projectName(root: string): string {
  const usable = [packageName(root), basename(root)].map(asName).find((name) => name !== "");
  return usable ?? "app";
}

function asName(name: string): string {
  return name
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, "-")
    .replace(/^[^a-z0-9]+|-+$/g, "")
    .slice(0, 100);
}

function packageName(root: string): string {
  try {
    const { name } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { name?: unknown };
    return typeof name === "string" ? name : "";
  } catch {
    return "";
  }
}
