import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { describe, it } from "node:test";
import { HOST_ENVIRONMENT, HOST_FLAGS } from "../../runtime/host/host-process.ts";

const SCRIPT = `
  import { becomeHost } from ${JSON.stringify(new URL("../../runtime/host/host-process.ts", import.meta.url).href)};
  becomeHost();
  console.log(JSON.stringify({ pid: process.pid, flags: process.execArgv, env: process.env, argv: process.argv.slice(1) }));
`;

interface Seen {
  readonly pid: number;
  readonly flags: string[];
  readonly env: Record<string, string | undefined>;
  readonly argv: string[];
}

/** What a process sees of itself once it has become a host. */
async function become(flags: string[], env: Record<string, string>): Promise<Seen & { readonly spawned: number | undefined }> {
  const outside = { ...process.env };
  for (const name of [...Object.keys(HOST_ENVIRONMENT), "NODE_OPTIONS"]) delete outside[name];
  const child = spawn(process.execPath, [...flags, "--input-type=module", "--eval", SCRIPT, "first", "second one"], {
    env: { ...outside, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [output, [code]] = await Promise.all([text(child.stdout), once(child, "exit")]);
  assert.equal(code, 0);
  return { ...(JSON.parse(output) as Seen), spawned: child.pid };
}

describe("a process that becomes a host", { skip: process.execve === undefined || process.platform !== "linux" }, () => {
  it("is the same process with a small young generation and an allocator that gives back", async () => {
    const { pid, spawned, flags, env, argv } = await become(["--no-warnings"], {});
    assert.equal(pid, spawned);
    assert.deepEqual(flags.slice(0, 2), [...HOST_FLAGS, "--no-warnings"]);
    assert.deepEqual({ ...env, ...HOST_ENVIRONMENT }, env);
    assert.deepEqual(argv.slice(-2), ["first", "second one"]);
  });

  it("keeps what its user has set", async () => {
    const { flags, env } = await become(["--max-semi-space-size=32"], { MALLOC_ARENA_MAX: "7" });
    assert.equal(flags.filter((flag) => flag.startsWith("--max-semi-space-size")).join(), "--max-semi-space-size=32");
    assert.equal(env["MALLOC_ARENA_MAX"], "7");
    const { flags: byOptions } = await become([], { NODE_OPTIONS: "--max-semi-space-size=32" });
    assert.ok(!byOptions.some((flag) => flag.startsWith("--max-semi-space-size")));
  });
});
