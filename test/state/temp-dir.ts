import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";

const pending = new WeakMap<TestContext, (() => unknown)[]>();

/** Runs after the test, the last deferred first: stores close before their directories go. */
export function defer(t: TestContext, cleanUp: () => unknown): void {
  const known = pending.get(t);
  if (known !== undefined) {
    known.push(cleanUp);
    return;
  }
  const stack = [cleanUp];
  pending.set(t, stack);
  t.after(async () => {
    for (const each of stack.reverse()) await each();
  });
}

/** A directory of the test's own, removed after it. */
export function tempDir(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "keyfold-state-"));
  defer(t, () => rmSync(dir, { recursive: true, force: true, maxRetries: 3 }));
  return dir;
}
