import { readFileSync } from "node:fs";

/** This package's version. `package.json` lies two directories up, in the repository and in dist alike. */
export function packageVersion(): string {
  const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { version: string };
  return version;
}
