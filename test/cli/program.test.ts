import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { type AddressInfo, createServer as createTcpServer, type Socket } from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { commands } from "../../runtime/cli/commands/index.ts";
import { Output } from "../../runtime/cli/output.ts";
import { project, write } from "../fixtures/project.ts";
import { cli } from "./run-cli.ts";

const COUNTER = 'import { defineFunction } from "keyfold"; export default defineFunction({ source: "a", reduce: (n = 0) => n + 1 });';

describe("help and usage", () => {
  test("help lists every command and exit code, on stdout", async () => {
    const { code, stdout, stderr } = await cli(["--help"]);
    assert.equal(code, 0);
    assert.equal(stderr, "");
    for (const { name } of commands()) assert.match(stdout, new RegExp(`^  ${name}\\b`, "m"));
    assert.match(stdout, /4 {4}no host answers/);
  });

  test("every command has help of its own", async () => {
    for (const { name, summary } of commands()) {
      const { code, stdout } = await cli([name, "--help"]);
      assert.equal(code, 0);
      assert.match(stdout, new RegExp(`Usage: keyfold ${name}`));
      assert.ok(stdout.includes(summary));
    }
  });

  test("an unknown command or option: the nearest valid one, exit code 2, stdout empty", async () => {
    const command = await cli(["strat"]);
    assert.deepEqual([command.code, command.stdout], [2, ""]);
    assert.match(command.stderr, /unknown command 'strat'[\s\S]*start/);
    const option = await cli(["start", "--prot", "1"]);
    assert.deepEqual([option.code, option.stdout], [2, ""]);
    assert.match(option.stderr, /unknown option '--prot'[\s\S]*--port/);
    assert.equal((await cli(["get"])).code, 2);
    assert.equal((await cli(["get", "f", "k", "--count"])).code, 2);
    assert.equal((await cli(["get", "f", "--at-least", "1:2"])).code, 2);
    assert.equal((await cli(["get", "f", "k", "--at-least", "x"])).code, 2);
    assert.equal((await cli(["get", "f", "--limit", "-1"])).code, 2);
    assert.equal((await cli(["completion", "tcsh"])).code, 2);
    assert.equal((await cli(["list", "--url", "nonsense"])).code, 2);
  });

  test("no command: help, and it is a mistake", async () => {
    assert.equal((await cli([])).code, 2);
  });

  test("with --json an error is one JSON document on stderr", async () => {
    for (const argv of [
      ["list", "--json", "--url", "http://127.0.0.1:1"],
      ["get", "--json"],
      ["strat", "--json"],
    ]) {
      const { stdout, stderr } = await cli(argv);
      assert.equal(stdout, "");
      const { error } = JSON.parse(stderr) as { error: { code: string; message: string } };
      assert.ok(error.code !== "" && error.message !== "");
    }
  });

  test("completion scripts of all shells name all commands", async () => {
    for (const shell of ["bash", "zsh", "fish"]) {
      const { code, stdout } = await cli(["completion", shell]);
      assert.equal(code, 0);
      for (const { name } of commands()) assert.ok(stdout.includes(name));
    }
  });
});

describe("colours", () => {
  const styled = (isTTY: boolean, environment: Record<string, string>): boolean => {
    const sink = { write: () => {}, isTTY };
    return new Output({ stdout: sink, stderr: sink, json: false, environment }).style("x", "red") !== "x";
  };

  test("on a terminal alone, never with NO_COLOR", () => {
    assert.equal(styled(true, {}), true);
    assert.equal(styled(false, {}), false);
    assert.equal(styled(true, { NO_COLOR: "1" }), false);
    assert.equal(styled(true, { TERM: "dumb" }), false);
    assert.equal(styled(false, { FORCE_COLOR: "1" }), true);
  });
});

describe("no host", () => {
  for (const argv of [["list"], ["get", "f"], ["get", "f", "k"], ["topics"], ["tasks"], ["tail", "t"]]) {
    test(`${argv.join(" ")} says so, and what to run`, async () => {
      const { code, stdout, stderr } = await cli([...argv, "--url", "http://127.0.0.1:1", "--internal-url", "http://127.0.0.1:1"]);
      assert.deepEqual([code, stdout], [4, ""]);
      assert.match(stderr, /no host answers at http:\/\/127\.0\.0\.1:1 .*\n.*keyfold dev/);
    });
  }

  test("what answers is something else", async (t) => {
    const server = createServer((_, response) => response.end("<html>hello"));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    t.after(() => server.close());
    const { code, stderr } = await cli(["list", "--url", `http://127.0.0.1:${(server.address() as AddressInfo).port}`]);
    assert.equal(code, 4);
    assert.match(stderr, /is not a keyfold host/);
  });

  test("what answers is something else that speaks JSON", async (t) => {
    let answer: readonly [status: number, body: string] = [200, ""];
    const server = createServer((_, response) => response.writeHead(answer[0], { "content-type": "application/json" }).end(answer[1]));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    t.after(() => server.close());
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const commands = [
      ["list"],
      ["topics"],
      ["tasks"],
      ["tail", "flights", "--no-follow"],
      ["get", "f", "k"],
      ["get", "f"],
      ["get", "f", "--count"],
    ];
    const answers = [
      [200, "{}"],
      [200, "[]"],
      [200, "null"],
      [200, "{"],
      [200, '{"functions":{},"topics":["a"],"tasks":[null],"value":1}'],
      [200, '{"functions":[{"name":"f"}],"topics":[{"name":"t"}],"tasks":[{}]}'],
      [404, '{"error":"nothing here"}'],
      [500, '{"code":"internal"}'],
    ] as const;
    for (answer of answers)
      for (const command of commands) {
        const { code, stdout, stderr } = await cli([...command, "--url", url, "--internal-url", url]);
        const what = `${command.join(" ")}, answered ${answer.join(" ")}: ${stderr}`;
        assert.deepEqual([code, stdout], [4, ""], what);
        assert.match(stderr, /^✗ what answers at \S+ is not a keyfold host \(.*\) \[host-unreachable\]\n$/, what);
      }
  });

  test("what takes the connection and never answers is given up", async (t) => {
    const sockets: Socket[] = [];
    let taken = (): void => {};
    const connected = new Promise<void>((resolve) => (taken = resolve));
    const server = createTcpServer((socket) => {
      sockets.push(socket);
      taken();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    t.after(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const asked = cli(["list", "--url", `http://127.0.0.1:${(server.address() as AddressInfo).port}`]);
    await connected;
    t.mock.timers.tick(60_000);
    const { code, stderr } = await asked;
    assert.equal(code, 4);
    assert.match(stderr, /no host answers at .* \(no answer in 60 s\)/);
  });
});

describe("build", () => {
  test("for people on stderr, as data on stdout; failures make exit code 1", async () => {
    const root = project({ "functions/ok.ts": COUNTER, "functions/bad.ts": "export default (" });
    const human = await cli(["build"], { cwd: root });
    assert.deepEqual([human.code, human.stdout], [1, ""]);
    assert.match(human.stderr, /✓ ok {2}[0-9a-f]{16}/);
    assert.match(human.stderr, /✗ function "bad" does not build: .* \[build-failed\]\n {2}functions\/bad\.ts:1:/);
    const json = await cli(["build", "--json"], { cwd: root });
    const answer = JSON.parse(json.stdout) as {
      functions: { name: string; changed: boolean }[];
      failures: { name: string; error: { code: string } }[];
    };
    assert.deepEqual(
      answer.functions.map(({ name, changed }) => [name, changed]),
      [["ok", false]],
    );
    assert.deepEqual(
      answer.failures.map(({ name, error }) => [name, error.code]),
      [["bad", "build-failed"]],
    );
    assert.deepEqual([json.code, json.stderr], [1, ""]);
    assert.equal((await cli(["build", "ok"], { cwd: root })).code, 0);
    assert.equal((await cli(["build", "kk"], { cwd: root })).code, 3);
  });

  test("a wrong config is exit code 5, a flag named as a flag", async () => {
    const root = project({ "functions/ok.ts": COUNTER, "wrangler-like.config.ts": "export default { nam: 1 };" });
    const { code, stderr } = await cli(["start", "--port", "http"], { cwd: root });
    assert.equal(code, 5);
    assert.match(stderr, /nam: unknown key .*did you mean "name"/);
    assert.match(stderr, /--port: "http" is not allowed/);
    const fine = project({ "functions/ok.ts": COUNTER });
    const flag = await cli(["start", "--port", "http", "--internal-port", "70000"], { cwd: fine });
    assert.equal(flag.code, 2);
    assert.match(flag.stderr, /^✗ --port: "http" is not allowed.*\n {2}--internal-port: 70000 is not allowed/);
  });
});

describe("build.mjs", () => {
  const script = fileURLToPath(new URL("../../build.mjs", import.meta.url));
  const spawned = (root: string, ...args: string[]) =>
    spawnSync(process.execPath, [script, ...args], { cwd: root, encoding: "utf8", env: { ...process.env, NODE_OPTIONS: "" } });

  test("is `keyfold build`", () => {
    const root = project({ "functions/ok.ts": COUNTER });
    const good = spawned(root, "--json");
    assert.equal(good.status, 0, good.stderr);
    assert.equal((JSON.parse(good.stdout) as { functions: unknown[] }).functions.length, 1);
    write(root, { "functions/bad.ts": "export default (" });
    const bad = spawned(root);
    assert.deepEqual([bad.status, bad.stdout], [1, ""]);
    assert.match(bad.stderr, /bad\.ts:1:/);
    assert.match(spawned(root, "--help").stdout, /Bundle the functions/);
  });
});

describe("init", () => {
  test("a project that builds; refuses to overwrite; keeps what is there", async () => {
    const root = project({ "package.json": '{ "name": "@me/My Shop", "scripts": { "dev": "mine" } }', ".gitignore": "dist\nnode_modules" });
    const { code, stdout, stderr } = await cli(["init", "--yes", "--json"], { cwd: root });
    assert.deepEqual([code, stderr], [0, ""]);
    const { name, files } = JSON.parse(stdout) as { name: string; files: { path: string; action: string }[] };
    assert.equal(name, "me-my-shop");
    assert.deepEqual(
      files.map(({ path, action }) => [path, action]),
      [
        ["package.json", "changed"],
        ["wrangler-like.config.ts", "created"],
        ["tsconfig.json", "created"],
        ["functions/counter.ts", "created"],
        ["functions/counter.test.ts", "created"],
        [".gitignore", "changed"],
      ],
    );
    const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
      name: string;
      scripts: Record<string, string>;
      dependencies: Record<string, string>;
    };
    assert.equal(manifest.name, "@me/My Shop");
    assert.equal(manifest.scripts["dev"], "mine");
    assert.equal(manifest.scripts["build"], "keyfold build");
    assert.match(manifest.dependencies["keyfold"] ?? "", /^\^\d/);
    assert.equal(readFileSync(join(root, ".gitignore"), "utf8"), "dist\nnode_modules\n.keyfold/\n");
    assert.equal((await cli(["build"], { cwd: root })).code, 0);

    assert.equal((await cli(["init", "--yes"], { cwd: root })).code, 0, "the same again changes nothing");
    write(root, { "functions/counter.ts": "mine" });
    const refused = await cli(["init", "--yes"], { cwd: root });
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, /functions\/counter\.ts is there already; nothing was written/);
    assert.equal(readFileSync(join(root, "functions/counter.ts"), "utf8"), "mine");
    assert.equal((await cli(["init", "--yes", "--force"], { cwd: root })).code, 0);
    assert.notEqual(readFileSync(join(root, "functions/counter.ts"), "utf8"), "mine");
  });

  test("in a package of CommonJS modules, which stay so: functions are ES modules all the same", async () => {
    for (const already of ['{ "type": "commonjs" }', '{ "main": "index.js" }']) {
      const root = project({ "package.json": already });
      assert.equal((await cli(["init", "--yes", "--name", "shop"], { cwd: root })).code, 0);
      const read = (path: string) => JSON.parse(readFileSync(join(root, path), "utf8")) as { type?: string };
      assert.notEqual(read("package.json").type, "module");
      assert.equal(read("functions/package.json").type, "module");
      assert.equal((await cli(["build"], { cwd: root })).code, 0);
    }
    const fresh = project({ "package.json": '{ "dependencies": {} }' });
    await cli(["init", "--yes"], { cwd: fresh });
    assert.ok(!existsSync(join(fresh, "functions/package.json")));
  });

  test("into a directory, with a name; a bad name writes nothing", async () => {
    const root = project({});
    const { code, stderr } = await cli(["init", "shop", "--name", "the-shop"], { cwd: root });
    assert.equal(code, 0);
    assert.match(stderr, /cd shop/);
    assert.match(readFileSync(join(root, "shop/wrangler-like.config.ts"), "utf8"), /name: "the-shop"/);
    const bad = await cli(["init", "other", "--name", "The Shop"], { cwd: root });
    assert.equal(bad.code, 2);
    assert.ok(!existsSync(join(root, "other")));
  });
});
