import { readdir, rm, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Random } from "../fixtures/random.ts";

export type Damage = "none" | "wiped task" | "wiped function" | "garbled store" | "truncated file";

/** Does something to the state of a function between two lives of its host; the log is left alone. false: nothing was there. */
export async function damage(kind: Damage, applicationDir: string, random: Random): Promise<boolean> {
  const tasks = (await readdir(applicationDir).catch(() => [] as string[])).sort();
  if (tasks.length === 0) return false;
  const task = join(applicationDir, random.pick(tasks));
  switch (kind) {
    case "none":
      return false;
    case "wiped task":
      await rm(task, { recursive: true, force: true });
      return true;
    case "wiped function":
      await rm(applicationDir, { recursive: true, force: true });
      return true;
    case "garbled store": {
      const store = join(task, "rocksdb", "state");
      const manifest = (await readdir(store).catch(() => [] as string[])).find((name) => name.startsWith("MANIFEST"));
      if (manifest === undefined) return false;
      await writeFile(join(store, manifest), "this is no manifest");
      return true;
    }
    case "truncated file": {
      const store = join(task, "rocksdb", "state");
      const files = (await readdir(store).catch(() => [] as string[])).filter((name) => /\.(sst|log)$/.test(name)).sort();
      if (files.length === 0) return false;
      const file = join(store, random.pick(files));
      await truncate(file, Math.floor((await stat(file)).size * random.next()));
      return true;
    }
  }
}
