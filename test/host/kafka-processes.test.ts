import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { ConfigLayer } from "../../runtime/config/types.ts";
import { audit, caughtUp, chain, type Event, events, feed, fold, run, states } from "../fixtures/chain.ts";
import { createProject, startEngine } from "../fixtures/engine.ts";
import { describeKafka } from "../fixtures/kafka-broker.ts";
import { printedSeed, Random } from "../fixtures/random.ts";
import { until } from "../fixtures/until.ts";

const CHILD = fileURLToPath(new URL("../fixtures/host-child.ts", import.meta.url));
const SESSION_MS = 1_500;

describeKafka("hosts on Kafka in processes of their own", {}, (broker) => {
  test("killed, and stopped for longer than their session and woken: nothing is lost or doubled", async () => {
    const random = new Random(printedSeed("hosts on Kafka killed and stopped"));
    const project = await createProject({ killed: chain("killed") }, `app-${run}`);
    const layer = (host: string): ConfigLayer => ({
      name: `app-${run}`,
      log: { kind: "kafka", brokers: broker().brokers },
      "session.timeout.ms": SESSION_MS,
      "num.stream.threads": 2,
      "processing.guarantee": "exactly_once_v2",
      "commit.interval.ms": 20,
      "state.dir": `${project.dir}/state-${host}`,
    });
    const all: Event[] = [];
    const home = await startEngine(await project.config(layer("home")), {}, ["killed"]);
    const children = new Set<ChildProcess>();
    const spawned = async (host: string): Promise<ChildProcess> => {
      const job = JSON.stringify({ dir: project.dir, layer: layer(host), functions: ["killed"] });
      const child = spawn(process.execPath, ["--conditions=keyfold-source", "--disable-warning=ExperimentalWarning", CHILD, job], {
        stdio: ["pipe", "pipe", "inherit"],
      });
      children.add(child);
      child.once("exit", () => children.delete(child));
      await once(child.stdout as NodeJS.ReadableStream, "data");
      return child;
    };
    const sharing = (): Promise<unknown> =>
      until("the tasks are shared", async () => (await home.api.tasks()).filter(({ state }) => state === "RUNNING").length === 2);
    const alone = (): Promise<unknown> =>
      until("this host has all tasks", async () => (await home.api.tasks()).filter(({ state }) => state === "RUNNING").length === 4);
    let feeding = true;
    const feeder = (async () => {
      while (feeding) {
        const chunk = events(all.length, 100);
        await feed(home, "killed", chunk);
        all.push(...chunk);
        await pause(5);
      }
    })();
    try {
      for (let round = 0; round < Number(process.env["KEYFOLD_ROUNDS"] ?? 4); round++) {
        const child = await spawned("other");
        await sharing();
        await pause(random.below(200));
        if (round % 2 === 0) {
          child.kill("SIGKILL");
          await alone();
        } else {
          child.kill("SIGSTOP");
          // The group gives its tasks to us; when it wakes it must neither commit nor write what anybody reads.
          await alone();
          child.kill("SIGCONT");
          await sharing();
          const gone = once(child, "exit");
          child.stdin?.end();
          await gone;
          await alone();
        }
        if (random.chance(0.5)) await rm(`${project.dir}/state-other`, { recursive: true, force: true });
      }
      feeding = false;
      await feeder;
      const end = events(all.length, 100);
      all.push(...end);
      await caughtUp(home, "killed", await feed(home, "killed", end));
      assert.deepEqual(await states(home, "killed"), fold(all));
      await home.stop();
      await rm(`${project.dir}/state-home`, { recursive: true, force: true });
      const fresh = await startEngine(await project.config(layer("home")), {}, ["killed"]);
      try {
        assert.deepEqual(await states(fresh, "killed"), fold(all), "restored from the changelog");
        assert.deepEqual(await audit(fresh, "killed"), all.map(({ key, n }) => `${key} ${n}`).sort());
      } finally {
        await fresh.stop();
      }
    } finally {
      feeding = false;
      await feeder.catch(() => undefined);
      for (const child of children) child.kill("SIGKILL");
      await home.stop();
      await project.remove();
    }
  });
});
