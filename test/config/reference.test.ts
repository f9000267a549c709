import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { GENERATED, regenerate } from "../../runtime/cli/generated-docs.ts";
import { variables } from "../../runtime/config/environment.ts";

for (const [path, generate] of GENERATED) {
  test(`${path} says what the code says`, () => {
    const document = readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
    assert.equal(document, regenerate(document, generate()), `${path} is out of date: run \`npm run docs\``);
  });
}

test("every environment variable has one meaning", () => {
  const names = variables().map(({ name }) => name);
  assert.equal(new Set(names).size, names.length);
});
