import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { accessSync, constants, mkdirSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { delimiter, join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { spawnCli } from "../cli/run-cli.ts";
import { project, write } from "../fixtures/project.ts";

const REPOSITORY = fileURLToPath(new URL("../../", import.meta.url));
const FUNCTION = `import { defineFunction } from "keyfold";

type Visit = { page: string };

export default defineFunction<Visit, Record<string, number>>({
  source: "visits",
  reduce: (pages = {}, { page }) => ({ ...pages, [page]: (pages[page] ?? 0) + 1 }),
});
`;

function run(program: string, args: readonly string[], cwd: string): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(program, args, { cwd, env: { ...process.env, NODE_OPTIONS: "" }, maxBuffer: 2 ** 26 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : typeof error.code === "number" ? error.code : 1, stdout, stderr });
    });
  });
}

async function succeeds(program: string, args: readonly string[], cwd: string): Promise<string> {
  const { code, stdout, stderr } = await run(program, args, cwd);
  assert.equal(code, 0, `${program} ${args.join(" ")}\n${stdout}\n${stderr}`);
  return stdout;
}

/** The machine's own node, where it is another than the one that runs the tests. */
function otherNode(): string | undefined {
  const candidates = (process.env["PATH"] ?? "")
    .split(delimiter)
    .filter((dir) => dir !== "" && !dir.includes("node_modules"))
    .map((dir) => join(dir, "node"));
  return candidates.find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** A stranger's project: keyfold from its tarball, and nothing of this repository. */
async function installed(t: TestContext): Promise<string> {
  const root = project({ "package.json": '{ "name": "stranger", "private": true, "type": "module" }' });
  mkdirSync(join(root, "tarball"));
  await succeeds("npm", ["pack", "--silent", "--pack-destination", join(root, "tarball")], REPOSITORY);
  const [tarball = ""] = readdirSync(join(root, "tarball"));
  t.diagnostic(tarball);
  const { devDependencies } = JSON.parse(readFileSync(join(REPOSITORY, "package.json"), "utf8")) as {
    devDependencies: Record<string, string>;
  };
  const tools = ["typescript", "@types/node"].map((name) => `${name}@${devDependencies[name]}`);
  await succeeds("npm", ["install", "--silent", "--prefer-offline", join(root, "tarball", tarball), ...tools], root);
  return root;
}

async function works(t: TestContext, root: string, node: string): Promise<void> {
  const keyfold = [node, join(root, "node_modules/keyfold/dist/cli/bin.js")];
  const [program = "", bin = ""] = keyfold;
  const built = JSON.parse(await succeeds(program, [bin, "build", "--json"], root)) as {
    functions: { name: string }[];
    failures: unknown[];
  };
  assert.deepEqual(built.functions.map(({ name }) => name).sort(), ["counter", "visits"]);
  for (const total of [1, 2]) {
    const host = spawnCli(
      t,
      ["start", "--port", "0", "--internal-port", "0", "--state-dir", `state-${node.length}`, "--json"],
      root,
      keyfold,
    );
    const { event, public: url } = await host.line();
    assert.equal(event, "listening");
    assert.deepEqual(await host.line(), { event: "running" });
    const appended = await fetch(`${String(url)}/v1/topics/visits/records`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ key: "alice", value: { page: "/" } }),
    });
    assert.equal(appended.status, 200, await appended.clone().text());
    const { positions } = (await appended.json()) as { positions: { partition: number; offset: number }[] };
    const state = await fetch(`${String(url)}/v1/functions/visits/keys/alice?at-least=${positions[0]?.partition}:${positions[0]?.offset}`);
    assert.deepEqual(((await state.json()) as { value: unknown }).value, { "/": total });
    host.kill("SIGTERM");
    assert.equal(await host.exited, 0, host.stderr());
  }
}

describe("the package, in a stranger's project", () => {
  test("installs, begins a project, has types, builds and runs: on this Node and on the machine's own", async (t) => {
    const root = await installed(t);
    await succeeds("npx", ["--no-install", "keyfold", "init", "--yes"], root);
    write(root, { "functions/visits.ts": FUNCTION });
    await succeeds("npx", ["--no-install", "tsc", "--noEmit"], root);
    await succeeds("npm", ["test", "--silent"], root);
    const commonjs = join(root, "commonjs");
    write(commonjs, { "package.json": '{ "type": "commonjs" }' });
    symlinkSync(join(root, "node_modules"), join(commonjs, "node_modules"));
    await succeeds("npx", ["--no-install", "keyfold", "init", "--yes"], commonjs);
    await succeeds("npx", ["--no-install", "tsc", "--noEmit"], commonjs);
    await succeeds("npm", ["test", "--silent"], commonjs);
    await works(t, root, process.execPath);
    const other = otherNode();
    if (other === undefined) t.diagnostic("there is no other node on this machine");
    else {
      t.diagnostic(`also on ${(await succeeds(other, ["--version"], root)).trim()}`);
      await works(t, root, other);
      // In a checkout, by hand: the sources are for a newer Node than that, and what to do is said.
      const isNative = (await succeeds(other, ["-p", "Boolean(process.features.typescript)"], root)).trim() === "true";
      if (!isNative) {
        const refused = spawnSync(other, [join(REPOSITORY, "bin/keyfold.mjs"), "--version"], { encoding: "utf8" });
        assert.equal(refused.status, 1);
        assert.match(refused.stderr, /needs Node 22\.18 or later: `npx keyfold`/);
      }
    }
  });
});
