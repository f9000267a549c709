/** `npm run docs`: makes the generated parts of docs/ anew. */
import { readFileSync, writeFileSync } from "node:fs";
import { GENERATED, regenerate } from "./generated-docs.ts";

for (const [path, generate] of GENERATED) {
  const file = new URL(`../../${path}`, import.meta.url);
  writeFileSync(file, regenerate(readFileSync(file, "utf8"), generate()));
}
