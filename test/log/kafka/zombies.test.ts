import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { describeKafka } from "../../fixtures/kafka-broker.ts";
import { printedSeed, Random } from "../../fixtures/random.ts";
import { until } from "../../fixtures/until.ts";
import { readAll } from "../helpers.ts";
import { newGroup, newTopic, openLog } from "./helpers.ts";

const CHILD = fileURLToPath(new URL("./zombie-child.ts", import.meta.url));
const PARTITIONS = 4;
/** More for a long run. */
const ROUNDS = Number(process.env.KEYFOLD_ROUNDS ?? 6);

interface Host {
  readonly name: string;
  readonly process: ChildProcess;
  readonly lines: string[];
}

describeKafka("kafka: hosts killed, stopped and woken as zombies", { nodes: 1 }, (broker) => {
  test("every partition gets each number once, in order", async (t) => {
    const random = new Random(printedSeed("zombies"));
    const log = await openLog(t, broker().brokers);
    const [input, output] = [await newTopic(log, PARTITIONS), await newTopic(log, PARTITIONS)];
    const group = newGroup();
    const hosts: Host[] = [];
    let started = 0;
    const start = (): void => {
      const name = `host-${started++}`;
      const child = spawn(process.execPath, [CHILD, broker().brokers.join(","), group, input, output, `${PARTITIONS}`, name], {
        stdio: ["pipe", "pipe", "inherit"],
      });
      const lines: string[] = [];
      createInterface({ input: child.stdout }).on("line", (line) => lines.push(line));
      hosts.push({ name, process: child, lines });
    };
    t.after(() => {
      for (const { process: child } of hosts) child.kill("SIGKILL");
    });
    const positions = async (): Promise<number[]> =>
      (
        await log.committed(
          group,
          Array.from({ length: PARTITIONS }, (_, partition) => ({ topic: input, partition })),
        )
      ).map((commit) => commit?.offset ?? 0);
    const progress = async (): Promise<void> => {
      const before = await positions();
      await until("progress everywhere", async () => (await positions()).every((position, i) => position > (before[i] ?? 0)));
    };
    /** So many commits later, wherever. */
    const later = async (commits: number): Promise<void> => {
      const sum = async (): Promise<number> => (await positions()).reduce((all, position) => all + position, 0);
      const before = await sum();
      await until(`${commits} more commits`, async () => (await sum()) >= before + commits);
    };
    start();
    start();
    for (let round = 0; round < ROUNDS; round++) {
      await progress();
      const victim = random.pick(hosts);
      await later(random.below(20));
      if (random.chance(0.5)) {
        victim.process.kill("SIGKILL");
        hosts.splice(hosts.indexOf(victim), 1);
        start();
      } else {
        victim.process.kill("SIGSTOP");
        await progress();
        victim.process.kill("SIGCONT");
      }
    }
    // Those that are left go on as if nothing had been, and end well.
    await progress();
    for (const { process: child, lines } of hosts) {
      child.stdin?.end();
      const [code] = (await once(child, "exit")) as [number];
      assert.equal(code, 0, lines.join("\n"));
      assert.deepEqual(
        lines.filter((line) => /error (?!.*tried again)/.test(line)),
        [],
      );
    }
    const ends = await positions();
    t.diagnostic(`${ROUNDS} rounds, ${ends.join(" ")} commits`);
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const values = (await readAll(log, output, partition)).map(({ value }) => value);
      assert.deepEqual(
        values,
        Array.from({ length: ends[partition] ?? 0 }, (_, n) => `${n}`),
        `partition ${partition}`,
      );
    }
  });
});
