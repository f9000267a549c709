import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { packageVersion } from "../bundle/version.ts";
import { CONFIG_FILE } from "../config/locate.ts";
import { KeyfoldError } from "../errors.ts";
import {
  configTemplate,
  counterTemplate,
  counterTestTemplate,
  ignoredPaths,
  packageAdditions,
  tsconfigTemplate,
} from "./templates/project.ts";

export interface PlannedFile {
  readonly path: string;
  readonly content: string;
  /** `clash`: another file is there. `kept`: it is there, as it should be. */
  readonly action: "created" | "changed" | "kept" | "clash";
}

/** What beginning a project in a directory would write. Touches nothing. */
export async function planProject(directory: string, name: string): Promise<PlannedFile[]> {
  const packageFile = await plan(directory, "package.json", (old) => mergedPackage(old, name));
  const modules = (JSON.parse(packageFile.content) as Json)["type"] === "module";
  const whole: readonly (readonly [path: string, content: string])[] = [
    [CONFIG_FILE, configTemplate(name)],
    ["tsconfig.json", tsconfigTemplate(modules)],
    // Functions are ES modules, whatever the package around them is.
    ...(modules ? [] : [["functions/package.json", '{ "type": "module" }\n'] as const]),
    ["functions/counter.ts", counterTemplate()],
    ["functions/counter.test.ts", counterTestTemplate()],
  ];
  return [
    packageFile,
    ...(await Promise.all(whole.map(async ([path, content]) => plan(directory, path, () => content, "clash")))),
    await plan(directory, ".gitignore", mergedIgnores),
  ];
}

export async function writeProject(directory: string, files: readonly PlannedFile[]): Promise<void> {
  for (const { path, content, action } of files) {
    if (action === "kept") continue;
    const target = join(directory, path);
    try {
      await mkdir(dirname(target), { recursive: true });
      await writeFile(target, content);
    } catch (cause) {
      throw new KeyfoldError("internal", `cannot write ${target}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    }
  }
}

async function plan(
  directory: string,
  path: string,
  content: (old: string | undefined) => string,
  otherwise: "changed" | "clash" = "changed",
): Promise<PlannedFile> {
  const old = await readFile(join(directory, path), "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
    throw new KeyfoldError("bad-request", `cannot read ${join(directory, path)}: ${error.message}`, { cause: error });
  });
  const wanted = content(old);
  return { path, content: wanted, action: old === undefined ? "created" : old === wanted ? "kept" : otherwise };
}

type Json = Record<string, unknown>;

/** What package.json has stays; what is missing is added. One with a `main` and no `type` has modules that would break as ES modules. */
function mergedPackage(old: string | undefined, name: string): string {
  const additions = packageAdditions(name, packageVersion());
  if (old === undefined) return `${JSON.stringify(additions, null, 2)}\n`;
  let existing: Json;
  try {
    existing = JSON.parse(old) as Json;
  } catch (cause) {
    throw new KeyfoldError("bad-request", `package.json is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
  const { type, ...others } = additions;
  const merged: Json = { ...others, ...("main" in existing ? {} : { type }), ...existing };
  const has = (group: string, key: string): boolean => key in ((existing[group] ?? {}) as Json);
  for (const group of ["scripts", "dependencies", "devDependencies"] as const) {
    const missing = Object.entries(additions[group]).filter(
      ([key]) => !has(group, key) && !(group !== "scripts" && (has("dependencies", key) || has("devDependencies", key))),
    );
    merged[group] = { ...Object.fromEntries(missing), ...((existing[group] ?? {}) as Json) };
  }
  return `${JSON.stringify(merged, null, 2)}\n`;
}

function mergedIgnores(old = ""): string {
  const missing = ignoredPaths().filter(
    (path) => !old.split(/\r?\n/).some((line) => line.trim().replace(/\/$/, "") === path.replace(/\/$/, "")),
  );
  return missing.length === 0 ? old : `${old}${old === "" || old.endsWith("\n") ? "" : "\n"}${missing.join("\n")}\n`;
}
