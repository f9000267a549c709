import { rm } from "node:fs/promises";
import { createTestDriver, type StoreEntry, type TestDriverOptions } from "keyfold/testing";
import { scratchDir } from "../fixtures/scratch.ts";
import { build } from "./build.ts";
import type { Actual, Scenario } from "./scenario.ts";

export interface RunOptions extends Pick<TestDriverOptions, "cache" | "commitInterval" | "guarantee"> {
  /** Steps after which the tasks are ended and started again. */
  readonly restartAfter?: ReadonlySet<number>;
  /** Over empty stores, restored from the changelogs. Default true. */
  readonly wipe?: boolean;
}

/** What keyfold does with a scenario. */
export async function run(scenario: Scenario, { restartAfter = new Set(), wipe = true, ...options }: RunOptions = {}): Promise<Actual> {
  const dir = await scratchDir();
  const driver = await createTestDriver(build(scenario), { ...options, dir });
  try {
    const output: Record<string, unknown[]> = {};
    const topics = Object.keys(scenario.expect.output);
    for (const node of scenario.topology) if (node.op === "to" && node.topic !== undefined && !topics.includes(node.topic)) topics.push(node.topic);
    const { topics: windows, stores: windowStores } = windowedKeys(scenario);
    const collect = (step: number): void => {
      for (const topic of topics) {
        for (const { key, value, timestamp } of driver.read(topic)) {
          output[topic] = [...(output[topic] ?? []), { step, ...(windows.has(topic) ? windowed(key) : { key }), value, timestamp }];
        }
      }
    };
    for (const [i, step] of scenario.input.entries()) {
      if ("advanceWallClockMs" in step) driver.advanceWallClock(step.advanceWallClockMs);
      else driver.pipe(step.topic, step);
      collect(i);
      if (restartAfter.has(i)) await driver.restart({ wipe });
    }
    driver.commit();
    collect(scenario.input.length - 1);
    const stores = Object.fromEntries(Object.keys(scenario.expect.stores).map((name) => [name, entries(scenario, name, windowStores.has(name), driver.store(name).entries())]));
    const changelog = Object.fromEntries(Object.keys(scenario.expect.changelog ?? {}).map((name) => [name, driver.changelog(name)]));
    return { output, stores, changelog, droppedRecords: driver.droppedRecords };
  } finally {
    await driver.close();
    await rm(dir, { recursive: true, force: true });
  }
}

/** Stores of sessions and of processors have no timestamps in the scenarios. */
function entries(scenario: Scenario, name: string, windows: boolean, found: readonly StoreEntry[]): unknown[] {
  const node = scenario.topology.find((one) => one.store === name);
  const timed = node?.op !== "process" && node?.window?.type !== "session";
  const shown = found.map(({ timestamp, ...entry }) => ({
    ...entry,
    ...(windows && entry.windowStart === undefined ? windowed(entry.key) : {}),
    ...(timed ? { timestamp } : {}),
  }));
  return windows ? shown.sort(byWindow) : shown;
}

function byWindow(a: { key?: unknown; windowStart?: unknown; windowEnd?: unknown }, b: typeof a): number {
  if (a.key !== b.key) return String(a.key) < String(b.key) ? -1 : 1;
  return Number(a.windowStart) - Number(b.windowStart) || Number(a.windowEnd) - Number(b.windowEnd);
}

/** Topics and stores whose keys are windowed: behind a windowed aggregation, and no step in between that makes other keys. */
function windowedKeys(scenario: Scenario): { readonly topics: ReadonlySet<string>; readonly stores: ReadonlySet<string> } {
  const windowedIds = new Set<string>();
  const topics = new Set<string>();
  const stores = new Set<string>();
  for (const node of scenario.topology) {
    const inherits = node.from?.some((id) => windowedIds.has(id)) === true && !["map", "flatMap", "selectKey", "groupBy"].includes(node.op);
    if (!inherits && node.window?.type === undefined) continue;
    if (node.topic !== undefined && node.op === "to") topics.add(node.topic);
    if (node.store !== undefined) stores.add(node.store);
    for (const id of [node.id, ...(node.branches ?? []).map((branch) => branch.id), ...(node.default === undefined ? [] : [node.default])]) windowedIds.add(id);
  }
  return { topics, stores };
}

/** `key@start/end` of windowed results. */
function windowed(key: string | null): Record<string, unknown> {
  const match = /^(.*)@(\d+)\/(\d+)$/s.exec(key ?? "");
  return match === null ? { key } : { key: match[1], windowStart: Number(match[2]), windowEnd: Number(match[3]) };
}
