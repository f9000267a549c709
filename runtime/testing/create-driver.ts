import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FunctionSettings } from "../config/resolved.ts";
import { json } from "../define/codecs.ts";
import { MemoryLog } from "../log/memory-log.ts";
import { compile } from "../topology/compile.ts";
import type { Codec, Subtopology, TaskLogger } from "../topology/topology.ts";
import { TestDriver } from "./driver.ts";
import { DriverTask } from "./driver-task.ts";

export interface TestDriverOptions {
  /** The function's name. Default `test`. */
  readonly name?: string;
  /** Settings of the function, as the config would give them: `{ source: "clicks" }` for a bare reducer. */
  readonly config?: FunctionSettings;
  /** Bytes of record cache. Default 0: every update comes out at once. */
  readonly cache?: number;
  /** Virtual ms (see `advanceWallClock`) between commits. Default 0: a commit after every record. */
  readonly commitInterval?: number;
  /** Where stores are kept. Default: a temporary directory, removed by `close()`. */
  readonly dir?: string;
  readonly guarantee?: "at_least_once" | "exactly_once_v2";
  /** The wall clock's start, epoch ms. Default 0. */
  readonly startTime?: number;
  /** Deep-freeze states, as in dev, so that a mutation fails loudly. Default true. */
  readonly freeze?: boolean;
  /** Gets what the function logs. Default: nowhere. */
  readonly logger?: TaskLogger;
}

const OPTIONS = ["name", "config", "cache", "commitInterval", "dir", "guarantee", "startTime", "freeze", "logger"];

const SILENT: TaskLogger = { debug() {}, info() {}, warn() {}, error() {} };

/**
 * A driver for one function: what `defineFunction` returned, or a bare reducer (then with `config: { source }`).
 *
 * @example
 * const driver = await createTestDriver(cart);
 * driver.pipe("cart-events", { key: "ann", value: { type: "add", sku: "book" } });
 * assert.deepEqual(driver.state("ann"), { skus: ["book"] });
 * await driver.close();
 */
export async function createTestDriver(definition: unknown, options: TestDriverOptions = {}): Promise<TestDriver> {
  const {
    name = "test",
    config = {},
    cache = 0,
    commitInterval = 0,
    guarantee = "at_least_once",
    startTime = 0,
    freeze = true,
    logger = SILENT,
  } = options;
  checkOptions(options);
  const application = `app-${name}`;
  const compiled = compile(definition, { name, application, settings: config });
  const dir = options.dir ?? (await mkdtemp(join(tmpdir(), "keyfold-test-")));
  const clock = { now: startTime };
  const log = new MemoryLog({ now: () => clock.now });
  const deadLetterTopic = compiled.settings["errors.dead.letter.queue.topic.name"] ?? `${application}-dead-letters`;
  const underway: string[] = [];
  const { subtopologies } = compiled.topology;
  const sources = new Set(subtopologies.flatMap((subtopology) => subtopology.sources.map(({ topic }) => topic)));
  const codecs = codecsOf(subtopologies);
  for (const topic of [...sources, ...codecs.keys()]) log.ensureTopic({ name: topic, partitions: 1 });

  const open = async ({ wipe }: { readonly wipe: boolean }): Promise<DriverTask[]> => {
    if (wipe) await rm(dir, { recursive: true, force: true });
    const tasks: DriverTask[] = [];
    for (const subtopology of subtopologies) {
      tasks.push(
        await DriverTask.open({
          function: name,
          application,
          settings: compiled.settings,
          subtopology,
          sources,
          log,
          dir,
          cacheBytes: cache,
          atomic: guarantee === "exactly_once_v2",
          freeze,
          deadLetterTopic,
          invokeStore: compiled.invoke?.store,
          now: () => clock.now,
          start: startTime,
          logger,
        }),
      );
    }
    return tasks;
  };

  const remove = async (): Promise<void> => {
    if (options.dir === undefined) await rm(dir, { recursive: true, force: true });
  };
  return new TestDriver(
    {
      compiled,
      application,
      log,
      deadLetterTopic,
      sources,
      atomic: guarantee === "exactly_once_v2",
      commitIntervalMs: commitInterval,
      codecOf: (topic) => codecs.get(topic) ?? json,
      clock,
      underway,
      open,
      remove,
    },
    await open({ wipe: false }),
  );
}

function codecsOf(subtopologies: readonly Subtopology[]): Map<string, Codec> {
  const codecs = new Map<string, Codec>();
  for (const { sources, sinks } of subtopologies) {
    for (const { topic, codec } of [...sinks, ...sources]) codecs.set(topic, codec);
  }
  return codecs;
}

/** Tests may be JavaScript, or cast: an option that does nothing would be a test of something else. */
function checkOptions(options: TestDriverOptions): void {
  const wrong = Object.keys(options).find((name) => !OPTIONS.includes(name));
  if (wrong !== undefined) throw new TypeError(`createTestDriver has no option \`${wrong}\`; it has ${OPTIONS.join(", ")}`);
  for (const name of ["cache", "commitInterval", "startTime"] as const) {
    const value = options[name];
    if (value !== undefined && !(Number.isFinite(value) && value >= 0))
      throw new TypeError(`createTestDriver: \`${name}\` is a number from 0 on, not ${JSON.stringify(value)}`);
  }
  const { guarantee } = options;
  if (guarantee !== undefined && guarantee !== "at_least_once" && guarantee !== "exactly_once_v2")
    throw new TypeError(`createTestDriver: \`guarantee\` is at_least_once or exactly_once_v2, not ${JSON.stringify(guarantee)}`);
}
