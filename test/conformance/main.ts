/** `npm run conformance -- DIR`: runs every scenario below a folder and says what differs. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { compare } from "./compare.mjs";
import { run } from "./run.ts";
import type { Comparison, Scenario } from "./scenario.ts";

export async function scenarioFiles(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() && entry.name.endsWith(".json")).map((entry) => join(entry.parentPath, entry.name));
  return files.sort();
}

export async function readScenario(file: string): Promise<Scenario | undefined> {
  const parsed: unknown = JSON.parse(await readFile(file, "utf8"));
  return typeof parsed === "object" && parsed !== null && "topology" in parsed && "expect" in parsed ? (parsed as Scenario) : undefined;
}

async function main(dir: string): Promise<number> {
  const counts = { passed: 0, failed: 0, same: 0, different: 0 };
  for (const file of await scenarioFiles(dir)) {
    const scenario = await readScenario(file);
    if (scenario === undefined) continue;
    const quirk = scenario.tags?.includes("quirk") === true;
    let comparison: Comparison | undefined;
    let difference: string | undefined;
    try {
      comparison = compare(scenario, await run(scenario));
      difference = comparison.pass ? undefined : firstDifference(comparison);
    } catch (error) {
      difference = `threw ${String(error)}`.replaceAll("\n", " ");
    }
    const passed = comparison?.pass === true;
    if (quirk) counts[passed ? "same" : "different"]++;
    else counts[passed ? "passed" : "failed"]++;
    if (!passed) console.log(`${quirk ? "QUIRK" : "FAIL"} ${difference?.startsWith(scenario.name) ? "" : `${scenario.name} `}${difference}`);
    else if (process.env["CONFORMANCE_ALL"] !== undefined && (comparison?.changelog === false || comparison?.dropped === false)) {
      console.log(`note ${comparison.differences.join("\n")}`);
    }
  }
  console.log(`quirks: ${counts.same} same, ${counts.different} different`);
  console.log(`${counts.passed} passed, ${counts.failed} failed`);
  return counts.failed === 0 ? 0 : 1;
}

/** On one line: what, expected, actual. */
function firstDifference({ differences }: Comparison): string {
  return (differences[0] ?? "no difference found").replaceAll("\n", " ");
}

if (import.meta.main) {
  const [dir] = process.argv.slice(2);
  if (dir === undefined) {
    console.error("usage: npm run conformance -- DIR");
    process.exitCode = 2;
  } else process.exitCode = await main(dir);
}
