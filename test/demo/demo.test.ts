import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { AirportStats } from "../../functions/airport-stats.ts";
import type { Day } from "../../functions/daily-flights.ts";
import type { StateDelay } from "../../functions/state-delays.ts";
import { DemoProcess } from "./demo-process.ts";
import { expected } from "./expected.ts";

const ANY_PORT = ["--port", "0", "--internal-port", "0"];

describe("the demo, as a process", () => {
  let dir: string;
  let environment: Record<string, string>;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), "keyfold-demo-"));
    environment = { KEYFOLD_BUILD_DIR: join(dir, "build") };
  });
  after(() => rm(dir, { recursive: true, force: true }));

  test("killed at several points and started again, it counts every flight once", async () => {
    const args = ["--json", ...ANY_PORT, "--state-dir", join(dir, "killed")];
    let cutOff = 0;
    for (const share of [0.1, 0.35, 0.6, 0.85]) {
      const demo = new DemoProcess([...args, "--rate", "15000"], environment);
      await demo.event(
        ({ event, step, done, total }) => event === "progress" && step === "feeding" && Number(done) >= Number(total) * share,
      );
      demo.child.kill("SIGKILL");
      const { signal, events } = await demo.ended;
      assert.equal(signal, "SIGKILL");
      if (!events.some(({ event }) => event === "report")) cutOff++;
    }
    assert.ok(cutOff > 0, "every kill came too late to cut a run off");

    const demo = new DemoProcess([...args, "--rate", "0"], environment);
    const { public: url } = await demo.event(({ event }) => event === "listening");
    const report = await demo.event(({ event }) => event === "report");
    const truth = await expected();
    assert.equal(report["flights"], 20_000);
    assert.equal(report["fed"], report["total"]);
    assert.ok(Number(report["before"]) > 0, "the last run went on from an earlier one");
    assert.deepEqual(new Map(await all<AirportStats>(`${url}/v1/functions/airport-stats`)), truth.stats);
    assert.deepEqual(
      (await all(`${url}/v1/functions/delay-watch`)).map(([key]) => key),
      truth.watched,
    );
    assert.deepEqual(new Map(await all(`${url}/v1/functions/late-arrivals`)), truth.late);
    assert.deepEqual(new Map(await all<Day>(`${url}/v1/functions/daily-flights`)), truth.days);
    const states = await all<StateDelay>(`${url}/v1/functions/state-delays`);
    assert.deepEqual(new Map(states.map(([key, { flights, delay }]) => [key, { flights, delay }])), truth.states);
    demo.child.kill("SIGINT");
    const { code, events } = await demo.ended;
    assert.equal(code, 0);
    assert.equal(events.at(-1)?.event, "stopped");

    const again = await new DemoProcess([...args, "--exit"], environment).ended;
    assert.equal(again.code, 0, again.stderr);
    const repeated = again.events.find(({ event }) => event === "report");
    assert.equal(repeated?.["flights"], 20_000);
    assert.equal(repeated?.["before"], repeated?.["total"]);
    for (const part of ["watched", "days", "busiestDays", "states", "bursts"]) assert.deepEqual(repeated?.[part], report[part]);
  });

  test("for people: tables on stdout, everything else on stderr", async () => {
    const { code, stdout, stderr } = await new DemoProcess(
      ["--exit", "--rate", "0", ...ANY_PORT, "--state-dir", join(dir, "people")],
      environment,
    ).ended;
    assert.equal(code, 0, stderr);
    assert.match(stdout, /20 000 flights from 220 airports/);
    assert.match(stdout, /DFW Dallas-Fort Worth Int…\s+│ Dallas-Fort Worth, TX\s+│\s+1 103 │\s+9\.5 min │\s+74\.4 % │\s+298 min to IAH/);
    assert.match(stdout, /6 901 days of single airports; most flights: DFW 21 on 2001-03-09, ORD 21 on 2001-03-09/);
    assert.match(stdout, /19 bursts of late flights; the largest: DFW 5 on 2001-02-24/);
    assert.match(stderr, /feeding 23 376 of 23 376/);
    assert.match(stderr, /stopped; everything is committed/);
  });

  test("SIGINT in the middle of feeding stops it cleanly, and the next run goes on", async () => {
    const args = ["--json", ...ANY_PORT, "--state-dir", join(dir, "stopped")];
    const demo = new DemoProcess([...args, "--rate", "2000"], environment);
    await demo.event(({ event, done }) => event === "progress" && Number(done) > 0);
    demo.child.kill("SIGINT");
    // Under npm one Ctrl-C comes twice: from the terminal and from npm. Of another kind, so that the system does not make one of two.
    demo.child.kill("SIGTERM");
    const { code, events, stderr } = await demo.ended;
    assert.equal(code, 0, stderr);
    assert.equal(events.at(-1)?.event, "stopped");
    assert.ok(!events.some(({ event }) => event === "report"));
    const next = await new DemoProcess([...args, "--rate", "0", "--exit"], environment).ended;
    const report = next.events.find(({ event }) => event === "report");
    assert.equal(report?.["flights"], 20_000);
    assert.ok(Number(report?.["before"]) > 0);
  });

  test("a port that was asked for and is taken is an error that says so; a default one gives way", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const { port } = server.address() as AddressInfo;
    try {
      const asked = await new DemoProcess(
        ["--exit", "--port", String(port), "--internal-port", "0", "--state-dir", join(dir, "ports")],
        environment,
      ).ended;
      assert.equal(asked.code, 1);
      assert.match(asked.stderr, new RegExp(`port ${port} .*in use`));
      const given = new DemoProcess(["--json", "--exit", "--rate", "0", "--state-dir", join(dir, "ports")], {
        ...environment,
        KEYFOLD_HTTP_PORT: String(port),
        KEYFOLD_HTTP_INTERNAL_PORT: String(port),
      });
      const { code, events, stderr } = await given.ended;
      assert.equal(code, 0, stderr);
      assert.match(String(events[0]?.["public"]), /^http:\/\/127\.0\.0\.1:\d+$/);
    } finally {
      server.close();
    }
  });

  test("help and mistakes", async () => {
    const help = await new DemoProcess(["--help"]).ended;
    assert.equal(help.code, 0);
    assert.match(help.stdout, /--state-dir/);
    const mistake = await new DemoProcess(["--rate", "fast"]).ended;
    assert.equal(mistake.code, 2);
    assert.match(mistake.stderr, /whole number/);
  });
});

async function all<State>(fn: string): Promise<[key: string, value: State][]> {
  const found: [key: string, value: State][] = [];
  let cursor: string | null = null;
  do {
    const after: string = cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const response = await fetch(`${fn}/keys?limit=1000${after}`);
    assert.equal(response.status, 200);
    const page = (await response.json()) as { items: { key: string; value: State }[]; cursor: string | null };
    for (const { key, value } of page.items) found.push([key, value]);
    cursor = page.cursor;
  } while (cursor !== null);
  return found;
}
