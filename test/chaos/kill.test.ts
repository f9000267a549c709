import assert from "node:assert/strict";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { createProject } from "../fixtures/engine.ts";
import { printedSeed, Random } from "../fixtures/random.ts";
import { until } from "../fixtures/until.ts";
import { type Damage, damage } from "./damage.ts";
import { CHAIN, FOLLOW, LEDGER } from "./functions.ts";
import { HostProcess } from "./host-process.ts";
import { Load } from "./load.ts";
import { type Chain, judge } from "./oracle.ts";

const ROUNDS = Number(process.env["KEYFOLD_ROUNDS"] ?? 30);
const CONFIG = {
  "processing.guarantee": "exactly_once_v2",
  "num.stream.threads": 2,
  // Small, so that commits come early and entries are evicted.
  "cache.max.bytes.buffering": 6_000,
  defaultPartitions: 3,
  topics: { events: { partitions: 4 } },
  logLevel: "warn",
};

test(`kill -9 under load, ${ROUNDS} times: nothing acknowledged is lost, nothing is counted twice`, { timeout: 600_000 }, async (t) => {
  const random = new Random(printedSeed("kill"));
  const project = await createProject({ chain: CHAIN, follow: FOLLOW, ledger: LEDGER });
  const stateDir = join(project.dir, "state");
  const load = new Load(random);
  let host: HostProcess | undefined;
  const done = { kills: 0, "before all ran": 0, damaged: 0, garbled: 0, "set aside": 0 };
  try {
    await writeFile(join(project.dir, "wrangler-like.config.ts"), `export default ${JSON.stringify(CONFIG)};\n`);
    for (let round = 0; round < ROUNDS; round++) {
      host = new HostProcess(project.dir, stateDir);
      const { public: url } = await host.listening;
      load.start(url);
      if (random.chance(0.25)) done["before all ran"]++;
      else await host.running;
      await pause(random.below(500));
      await host.kill();
      done.kills++;
      await load.stop();
      done["set aside"] += setAside(host);
      const kind = random.pick<Damage>([
        "none",
        "none",
        "none",
        "wiped task",
        "wiped function",
        "garbled store",
        "garbled store",
        "truncated file",
      ]);
      if (!(await damage(kind, join(stateDir, random.chance(0.7) ? "app-chain" : "app-ledger"), random))) continue;
      done.damaged++;
      if (kind === "garbled store") done.garbled++;
    }

    // The tail: once nobody kills it any more, every partition goes on and everything is caught up with.
    host = new HostProcess(project.dir, stateDir);
    const { public: url, internal } = await host.listening;
    await host.running;
    load.start(url);
    await until("every partition takes events again", () => tailKeys(load));
    await load.stop();
    assert.equal((await fetch(`${url}/readyz`)).status, 200);
    assert.equal((await fetch(`${url}/healthz`)).status, 200);
    // Not by lag: it does not know what one function has processed for another and not committed yet.
    await until("everything is caught up with", async () => {
      const { tasks } = (await (await fetch(`${internal}/v1/tasks`)).json()) as { tasks: TaskStatus[] };
      const { topics } = (await (await fetch(`${internal}/v1/topics`)).json()) as { topics: TopicInfo[] };
      const ends = new Map(topics.flatMap(({ name, offsets }) => offsets.map(({ partition, end }) => [`${name}[${partition}]`, end])));
      return tasks.every(
        ({ state, committed }) => state === "RUNNING" && Object.entries(committed).every(([at, offset]) => offset === ends.get(at)),
      );
    });
    const { tasks } = (await (await fetch(`${internal}/v1/tasks`)).json()) as { tasks: { state: string }[] };
    assert.ok(tasks.every(({ state }) => state === "RUNNING"));
    const states = await all<Chain>(`${url}/v1/functions/chain`);
    const followed = await all<Chain & { bad: number }>(`${url}/v1/functions/follow`);
    const ledger = await all<{ count: number; bad: number }>(`${url}/v1/functions/ledger`);
    assert.equal(await host.stop(), 0);
    assert.equal(host.stderr.includes("dead-lettered"), false, host.stderr);
    done["set aside"] += setAside(host);

    const verdict = await judge(join(stateDir, "log"), load, "app-chain");
    t.diagnostic(
      JSON.stringify({
        ...done,
        ...load.outcomes,
        sent: load.sent.size,
        "acknowledged events": load.acknowledged.size,
        events: verdict.events,
        lost: verdict.lost,
        doubled: verdict.doubled,
      }),
    );
    assert.ok(done.garbled === 0 || done["set aside"] > 0, "a garbled store was set aside, and that was said");
    assert.equal(load.outcomes.refused, 0, "an invoke that comes while its task is opened waits for it");
    assert.equal(verdict.lost, 0);
    assert.equal(verdict.doubled, 0);
    assert.deepEqual(states, verdict.states);
    const steady = [...verdict.states].filter(([key]) => !key.startsWith("t"));
    assert.deepEqual(
      new Map([...followed].filter(([key]) => !key.startsWith("t"))),
      new Map(steady.map(([key, state]) => [key, { ...state, bad: 0 }])),
    );
    assert.deepEqual(
      new Map([...ledger].map(([key, { count, bad }]) => [key, { count, bad }])),
      new Map([...verdict.counts].map(([key, count]) => [key, { count, bad: 0 }])),
    );
  } finally {
    await host?.kill();
    await load.stop();
    await rm(project.dir, { recursive: true, force: true });
  }
});

interface TaskStatus {
  readonly state: string;
  readonly committed: Record<string, number>;
}

interface TopicInfo {
  readonly name: string;
  readonly offsets: readonly { readonly partition: number; readonly end: number }[];
}

/** How often a host said that a store was set aside as corrupt. */
function setAside(host: HostProcess): number {
  return host.stderr.match(/cannot be used and was set aside as .*restored from its changelog/g)?.length ?? 0;
}

/** Whether, since the last start, events of every key were acknowledged: keys cover all partitions. */
function tailKeys(load: Load): boolean {
  const last = [...load.acknowledged.keys()].slice(-400);
  return last.length === 400 && new Set(last.map((id) => load.sent.get(id)?.key)).size === 16;
}

async function all<T>(fn: string): Promise<Map<string, T>> {
  const response = await fetch(`${fn}/keys?limit=1000`);
  assert.equal(response.status, 200);
  const { items } = (await response.json()) as { items: { key: string; value: T }[] };
  return new Map(items.map(({ key, value }) => [key, value]));
}
