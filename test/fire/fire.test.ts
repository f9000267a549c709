import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { openKafkaLog } from "../../runtime/log/kafka/log.ts";
import type { Log } from "../../runtime/log/log.ts";
import { createProject } from "../fixtures/engine.ts";
import { describeKafka, type KafkaBroker } from "../fixtures/kafka-broker.ts";
import { printedSeed, Random } from "../fixtures/random.ts";
import { until } from "../fixtures/until.ts";
import { faultDeck, shuffled } from "./deck.ts";
import { FIRE, LEDGER } from "./functions.ts";
import { Judge } from "./judge.ts";
import { Load } from "./load.ts";
import { PoolHost } from "./pool.ts";

/** Alone, for a longer fight: `node --conditions=keyfold-source test/fire/fire.test.ts --seed 7 --rounds 300`. */
const { values: given } = parseArgs({ options: { seed: { type: "string" }, rounds: { type: "string" } }, strict: false });
const ROUNDS = Number(given.rounds ?? process.env["KEYFOLD_ROUNDS"] ?? 30);
const ROUNDS_A_CHECK = 6;
const PARTITIONS = 4;

type Blow = "kill a host" | "stop a host past its session" | "kill the broker" | "restart the broker";
/** Of ten rounds. */
const BLOWS: readonly Blow[] = [
  ...new Array<Blow>(4).fill("kill a host"),
  ...new Array<Blow>(3).fill("stop a host past its session"),
  ...new Array<Blow>(2).fill("kill the broker"),
  "restart the broker",
];

const config = (broker: KafkaBroker) => ({
  log: { kind: "kafka", brokers: broker.proxy.brokers },
  "session.timeout.ms": 1_200,
  "processing.guarantee": "exactly_once_v2",
  "commit.interval.ms": 25,
  "num.stream.threads": 2,
  // Small, so that commits come early and entries are evicted.
  "cache.max.bytes.buffering": 8_000,
  defaultPartitions: PARTITIONS,
  logLevel: "info",
});

class Fight {
  readonly #broker: KafkaBroker;
  readonly #log: Log;
  readonly #random: Random;
  readonly #hosts: readonly PoolHost[];

  constructor(broker: KafkaBroker, log: Log, random: Random, hosts: readonly PoolHost[]) {
    this.#broker = broker;
    this.#log = log;
    this.#random = random;
    this.#hosts = hosts;
  }

  async round(blow: Blow): Promise<void> {
    const host = this.#random.pick(this.#hosts);
    switch (blow) {
      case "kill a host":
        await host.kill();
        if (this.#random.chance(0.4)) await host.wipe();
        // Before or after the group has noticed.
        if (this.#random.chance(0.5)) await this.progress();
        await host.start();
        break;
      case "stop a host past its session":
        await this.#zombie(host);
        break;
      case "kill the broker":
        await this.#broker.kill();
        await this.#broker.start();
        break;
      case "restart the broker":
        await this.#broker.shutDown();
        await this.#broker.start();
        break;
    }
    await this.progress();
  }

  /** Its tasks are taken over while it is stopped. Awake again it finds out, gives them up, and comes back as a member like any other. */
  async #zombie(host: PoolHost): Promise<void> {
    const others = this.#hosts.filter((other) => other !== host);
    await until("it has tasks", async () => (await host.running("fire")) > 0);
    host.pause();
    await until("the other host has all tasks", async () => (await others[0]?.running("fire")) === PARTITIONS);
    await this.progress();
    const before = host.said.length;
    host.resume();
    await host.logs(/"function":"fire",.*"msg":"tasks assigned"/, before);
  }

  /** Resolves when every partition has gone on by some events that were not there before. */
  async progress(): Promise<void> {
    const all = Array.from({ length: PARTITIONS }, (_, partition) => ({ topic: "events", partition }));
    const marks = await this.#log.offsets(all);
    await until("every partition goes on", async () => {
      const committed = await this.#log.committed("app-fire", all);
      return committed.every((commit, i) => (commit?.offset ?? 0) > (marks[i]?.end ?? 0));
    });
  }
}

describeKafka("exactly-once under fire", { listener: "proxied", controllerApart: true }, (broker) => {
  test(`${ROUNDS} rounds of kills, zombies and broker restarts with a bad wire: lost 0, doubled 0`, { timeout: 20_000 * ROUNDS }, (t) =>
    fight(t, broker()),
  );
});

async function fight(t: TestContext, broker: KafkaBroker): Promise<void> {
  if (given.seed !== undefined) process.env["KEYFOLD_SEED"] = String(given.seed);
  const random = new Random(printedSeed("fire"));
  const begun = performance.now();
  const project = await createProject({ fire: FIRE, ledger: LEDGER });
  await writeFile(join(project.dir, "wrangler-like.config.ts"), `export default ${JSON.stringify(config(broker))};\n`);
  // Beside the proxy: what it does is not what is being tried.
  const log = await openKafkaLog({ brokers: broker.brokers, unavailableAfterMs: 60_000 });
  const hosts = ["a", "b"].map((name) => new PoolHost(project.dir, name));
  const load = new Load(log, hosts, random);
  const { proxy } = broker;
  try {
    await Promise.all(hosts.map((host) => host.start()));
    const judge = new Judge(log, load, hosts, PARTITIONS);
    const one = new Fight(broker, log, random, hosts);
    const faults = faultDeck(random);
    const all = faults.map(([api, { kind }]) => `${api}:${kind}`);
    const blows = shuffled(
      Array.from({ length: ROUNDS }, (_, i) => BLOWS[i % BLOWS.length] as Blow),
      random,
    );
    load.start();
    for (const [round, blow] of blows.entries()) {
      const deal = ROUNDS - round > faults.length ? 1 : Math.ceil(faults.length / (ROUNDS - round));
      for (const [api, fault] of faults.splice(0, deal)) proxy.inject(api, fault);
      // Anywhere between two commits, and at times in the middle of coming back from the last blow.
      await pause(random.below(300));
      const started = performance.now();
      await one.round(blow);
      console.log(`round ${round + 1}: ${blow}, ${Math.round(performance.now() - started)} ms`);
      if ((round + 1) % ROUNDS_A_CHECK === 0 || round + 1 === ROUNDS) {
        if (round + 1 === ROUNDS) await until("every fault has fired", () => proxy.pending === 0);
        await load.stop();
        await judge.check();
        console.log(`after round ${round + 1}: ${judge.events} events, lost 0, doubled 0`);
        load.start();
      }
    }
    // The tail: nobody is hurt any more, and everything goes on.
    await one.progress();
    await load.stop();
    await judge.check();
    assert.deepEqual(new Set(proxy.fired), new Set(all), "every fault at every request has fired");
    for (const host of hosts) assert.equal(await host.stop(), 0, host.said.slice(-2_000));
    const said = hosts.map((host) => host.said).join("");
    assert.ok(/"code":"fenced"/.test(said), "somebody was fenced");
    assert.ok(/"commit":false,"msg":"tasks given up"/.test(said), "somebody has lost tasks and found it out");
    assert.equal(/dead-lettered|"function failed"/.test(said), false);
    t.diagnostic(
      JSON.stringify({
        rounds: ROUNDS,
        seconds: Math.round((performance.now() - begun) / 1000),
        events: judge.events,
        ...load.outcomes,
        faults: proxy.fired.length,
        lost: 0,
        doubled: 0,
      }),
    );
  } catch (thrown) {
    console.error(`faults: ${proxy.fired.join(" ")}`);
    for (const host of hosts) console.error(`--- ${host.name}:\n${host.said.slice(-8_000)}`);
    throw thrown;
  } finally {
    for (const host of hosts) host.resume();
    await Promise.all(hosts.map((host) => host.kill()));
    await load.stop().catch(() => {});
    await log.close();
    await project.remove();
  }
}
