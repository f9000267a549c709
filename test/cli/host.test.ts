import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { build } from "../../runtime/bundle/build.ts";
import { loadConfig } from "../../runtime/config/load.ts";
import { startHost } from "../../runtime/host/host.ts";
import { project, write } from "../fixtures/project.ts";
import { until } from "../fixtures/until.ts";
import { cli, type Ran, spawnCli } from "./run-cli.ts";

const counter = (by: number): string =>
  `import { defineFunction } from "keyfold";\nexport default defineFunction<unknown, number>({ source: "counts", sink: "totals", reduce: (n = 0) => n + ${by} });\n`;
const PORTS = ["--port", "0", "--internal-port", "0", "--json"];

async function invoke(url: unknown, key: string): Promise<Record<string, unknown>> {
  const response = await fetch(`${String(url)}/v1/functions/counter/keys/${key}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: "{}",
  });
  return (await response.json()) as Record<string, unknown>;
}

describe("asking a host", () => {
  async function running(t: TestContext): Promise<(argv: readonly string[], onStop?: (stop: () => void) => void) => Promise<Ran>> {
    const root = project({ "functions/counter.ts": counter(1) });
    const config = await loadConfig({
      cwd: root,
      environment: { KEYFOLD_LOG_LEVEL: "silent", KEYFOLD_HTTP_PORT: "0", KEYFOLD_HTTP_INTERNAL_PORT: "0" },
    });
    await build(config);
    const host = await startHost(config);
    t.after(() => host.stop());
    await host.running;
    // What a function that is no more has left behind.
    for (const rest of ["state-changelog", "dead-letters"]) await host.log.ensureTopic({ name: `test-app-gone-${rest}`, partitions: 1 });
    for (const key of ["alice", "bob", "alice", "carol"]) await invoke(host.publicUrl, key);
    return (argv, onStop) =>
      cli(argv, {
        environment: { KEYFOLD_URL: host.publicUrl, KEYFOLD_INTERNAL_URL: host.internalUrl },
        ...(onStop === undefined ? {} : { onStop }),
      });
  }

  test("get, list, topics, tasks and tail", async (t) => {
    const ask = await running(t);
    assert.equal((await ask(["get", "counter", "alice"])).stdout, "2\n");
    const one = JSON.parse((await ask(["get", "counter", "alice", "--json"])).stdout) as Record<string, unknown>;
    assert.deepEqual([one["key"], one["value"]], ["alice", 2]);
    assert.deepEqual((await ask(["get", "counter"])).stdout, "alice\t2\nbob\t1\ncarol\t1\n");
    const two = await ask(["get", "counter", "--limit", "2"]);
    assert.equal(two.stdout, "alice\t2\nbob\t1\n");
    assert.match(two.stderr, /there are more/);
    assert.equal((await ask(["get", "counter", "--from", "b", "--to", "c", "--json"])).stdout.split("\n").length, 2);
    assert.equal((await ask(["get", "counter", "--count"])).stdout, "3\n");
    assert.equal((await ask(["get", "counter", "--count", "--prefix", "a", "--json"])).stdout, '{"count":1}\n');

    const nobody = await ask(["get", "counter", "nobody"]);
    assert.deepEqual([nobody.code, nobody.stdout], [3, ""]);
    const unknown = await ask(["get", "countr", "alice"]);
    assert.deepEqual([unknown.code, unknown.stdout], [3, ""]);
    assert.match(unknown.stderr, /counter/);

    assert.match((await ask(["list"])).stdout, /^FUNCTION .*\ncounter .* RUNNING /);
    const { functions } = JSON.parse((await ask(["list", "--json"])).stdout) as { functions: { name: string }[] };
    assert.deepEqual(
      functions.map(({ name }) => name),
      ["counter"],
    );
    const topics = (await ask(["topics"])).stdout;
    assert.match(topics, /counts +4 +4 /);
    assert.doesNotMatch(topics, /changelog/);
    assert.match(topics, /test-app-gone-dead-letters/);
    assert.match((await ask(["topics", "--all"])).stdout, /test-app-counter-state-changelog[\s\S]*test-app-gone-state-changelog/);
    assert.equal((JSON.parse((await ask(["tasks", "--json"])).stdout) as { tasks: unknown[] }).tasks.length, 4);

    const events = (await ask(["tail", "counts", "--no-follow", "--json"])).stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { key: string });
    assert.deepEqual(events.map(({ key }) => key).sort(), ["alice", "alice", "bob", "carol"]);
    const states = (await ask(["tail", "counter", "--key", "alice", "--no-follow", "--json"])).stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { value: unknown });
    assert.equal(states.at(-1)?.value, 2);
    const typo = await ask(["tail", "cuonts"]);
    assert.equal(typo.code, 3);
    assert.match(typo.stderr, /did you mean "counts"/);
    assert.equal((await ask(["tail", "counts", "--partition", "9", "--no-follow"])).code, 3);
    const limited = await ask(["tail", "counts", "--from", "earliest", "--limit", "2"]);
    assert.equal(limited.stdout.trim().split("\n").length, 2);
    const stopped = await ask(["tail", "counts"], (stop) => setImmediate(stop));
    assert.deepEqual([stopped.code, stopped.stderr], [0, ""]);
  });
});

describe("start", () => {
  test("builds, says where it listens, runs, stops cleanly; state and offsets are there again after", async (t) => {
    const root = project({
      // What a function prints goes to stderr: every line of stdout is a document.
      "functions/counter.ts": `console.log("at its top");${counter(1).replace("n + 1", '(console.log("in its reducer"), n + 1)')}`,
      "wrangler-like.config.ts": 'export default { "num.standby.replicas": 1 };',
    });
    for (const round of [1, 2]) {
      const host = spawnCli(t, ["start", ...PORTS], root);
      const listening = await host.line();
      assert.equal(listening["event"], "listening");
      assert.match(String(listening["public"]), /^http:\/\/127\.0\.0\.1:\d+$/);
      assert.match(String(listening["internal"]), /^http:\/\/127\.0\.0\.1:\d+$/);
      assert.deepEqual(await host.line(), { event: "running" });
      assert.equal((await invoke(listening["public"], "alice"))["value"], round);
      host.kill(round === 1 ? "SIGTERM" : "SIGINT");
      assert.equal(await host.exited, 0, host.stderr());
      for (const said of [/standbys are not there yet/, /^at its top$/m, /^in its reducer$/m]) assert.match(host.stderr(), said);
      await assert.rejects(host.line(), /the process ended/, "nothing more on stdout");
    }
  });

  test("a build that fails is exit code 1, and nothing listens", async (t) => {
    const root = project({ "functions/counter.ts": "export default (" });
    const host = spawnCli(t, ["start", ...PORTS], root);
    assert.equal((await host.line())["event"], "build-failed");
    assert.equal(await host.exited, 1);
  });

  test("nothing to run is said as that, also when what was built is no more", async (t) => {
    const root = project({ "functions/README.md": "later" });
    write(root, { ".keyfold/build/gone/manifest.json": '{ "format": 1, "name": "gone" }', ".keyfold/build/gone/bundle.mjs": "" });
    for (const _ of [1, 2]) {
      const host = spawnCli(t, ["start", ...PORTS], root);
      assert.equal(await host.exited, 5);
      const { error } = JSON.parse(host.stderr()) as { error: { code: string; message: string } };
      assert.equal(error.code, "config-invalid");
      assert.match(error.message, /no function in functions\n.*keyfold init/);
    }
  });

  test("a port that is taken is said plainly", async (t) => {
    const root = project({ "functions/counter.ts": counter(1) });
    const first = spawnCli(t, ["start", ...PORTS], root);
    const { port } = new URL(String((await first.line())["public"]));
    const other = project({ "functions/counter.ts": counter(1) });
    const second = spawnCli(t, ["start", "--port", port, "--internal-port", "0", "--json"], other);
    assert.equal(await second.exited, 1);
    const error =
      second
        .stderr()
        .split("\n")
        .find((line) => line.startsWith('{"error"')) ?? "{}";
    assert.equal((JSON.parse(error) as { error: { code: string } }).error.code, "port-in-use");
  });
});

describe("dev", () => {
  test("swaps a changed function and keeps its state; a broken one changes nothing; a new config starts again", async (t) => {
    const root = project({ "functions/counter.ts": counter(1), "wrangler-like.config.ts": 'export default { logLevel: "warn" };' });
    const dev = spawnCli(t, ["dev", ...PORTS], root);
    const listening = await dev.line();
    assert.equal(listening["event"], "listening");
    assert.equal((await dev.line())["event"], "running");
    assert.equal((await invoke(listening["public"], "alice"))["value"], 1);

    write(root, { "functions/counter.ts": counter(10) });
    const swapped = await dev.line();
    assert.deepEqual([swapped["event"], swapped["name"], swapped["changed"]], ["built", "counter", true]);
    const after = await invoke(listening["public"], "alice");
    assert.deepEqual([after["value"], after["version"]], [11, swapped["version"]]);

    write(root, { "functions/counter.ts": "export default (" });
    assert.equal((await dev.line())["event"], "failed");
    assert.equal((await invoke(listening["public"], "alice"))["value"], 21);

    write(root, { "functions/counter.ts": counter(100), "functions/other.ts": counter(5).replace("counts", "others") });
    const names = [await dev.line(), await dev.line()].map(({ event, name }) => `${String(event)} ${String(name)}`);
    assert.deepEqual(names.sort(), ["built counter", "built other"]);
    assert.equal((await invoke(listening["public"], "alice"))["value"], 121);

    write(root, { "wrangler-like.config.ts": 'export default { logLevel: "error" };' });
    assert.equal((await dev.line())["event"], "config-changed");
    const again = await dev.line();
    assert.equal(again["event"], "listening");
    assert.equal((await dev.line())["event"], "running");
    assert.equal((await invoke(again["public"], "alice"))["value"], 221);

    // Valid, but the topic is there with four partitions: the host cannot start, and goes on under the config as it was.
    write(root, { "wrangler-like.config.ts": "export default { topics: { counts: { partitions: 8 } } };" });
    assert.equal((await dev.line())["event"], "config-changed");
    const back = await dev.line();
    assert.equal(back["event"], "listening");
    assert.match(dev.stderr(), /"topic-mismatch"/);
    assert.equal((await dev.line())["event"], "running");
    assert.equal((await invoke(back["public"], "alice"))["value"], 321);
    write(root, { "wrangler-like.config.ts": "export default { topics: { counts: { partitions: 4 } } };" });
    assert.equal((await dev.line())["event"], "config-changed");
    assert.equal((await dev.line())["event"], "listening");
    assert.equal((await dev.line())["event"], "running");

    dev.kill("SIGTERM");
    assert.equal(await dev.exited, 0, dev.stderr());
    assert.ok(readFileSync(join(root, ".keyfold/build/other/manifest.json"), "utf8").length > 0);
  });

  test("a config that changes while it is read is read again", async (t) => {
    const root = project({ "functions/counter.ts": counter(1), "wrangler-like.config.ts": 'export default { logLevel: "warn" };' });
    const dev = spawnCli(t, ["dev", ...PORTS], root);
    assert.equal((await dev.line())["event"], "listening");
    assert.equal((await dev.line())["event"], "running");
    const [reading, go] = [join(root, "reading"), join(root, "go")];
    write(root, {
      "wrangler-like.config.ts": `import { existsSync, writeFileSync } from "node:fs";
writeFileSync(${JSON.stringify(reading)}, "");
while (!existsSync(${JSON.stringify(go)})) await new Promise((resolve) => setTimeout(resolve, 5));
throw new Error("half of it");
`,
    });
    await until("the config is read", () => existsSync(reading));
    write(root, { "wrangler-like.config.ts": 'export default { logLevel: "error" };' });
    write(root, { "functions/counter.ts": counter(10) });
    // A round that sees the function sees the config, which was written before.
    assert.equal((await dev.line())["event"], "built");
    write(root, { go: "" });
    assert.equal((await dev.line())["event"], "config-changed");
    assert.match(dev.stderr(), /half of it/);
    assert.equal((await dev.line())["event"], "listening");
    dev.kill("SIGTERM");
    assert.equal(await dev.exited, 0, dev.stderr());
  });
});
