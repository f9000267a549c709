import { existsSync } from "node:fs";
import { mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { KeyfoldError } from "../errors.ts";
import { inspectWal } from "../log/embedded/wal-check.ts";
import { writeFileAtomically } from "./atomic-file.ts";
import type { StoreContext } from "./store.ts";

/** Layout of a store's directory as this version writes it, and the oldest version that may open it. */
const FORMAT = 1;
const OLDEST_READER = 1;
const FILE = "FORMAT";

/**
 * Looks at a store's directory before it is opened. Resolves to the reason why what lies there cannot be opened by anybody,
 * or to undefined. Throws `format-newer` where only a newer keyfold may open it.
 */
export async function inspectDirectory(context: StoreContext): Promise<string | undefined> {
  if (!existsSync(context.dir)) return undefined;
  const files = await readdir(context.dir);
  if (files.length === 0) return undefined;
  if (!files.includes(FILE)) return `it has files, but no ${FILE} file: something else wrote it, or a part of it is gone`;
  const text = await readFile(join(context.dir, FILE), "utf8");
  const oldestReader = Number(/^oldest-reader (\d+)$/m.exec(text)?.[1]);
  if (!Number.isInteger(oldestReader)) return `its ${FILE} file cannot be read (${JSON.stringify(text.slice(0, 40))})`;
  if (oldestReader > FORMAT) {
    throw new KeyfoldError(
      "format-newer",
      `Store "${context.store}" of task ${context.task} (${context.dir}) was written by a newer keyfold: it needs format ${oldestReader}, this version reads up to ${FORMAT}. Upgrade again, or delete the directory to have the store restored from its changelog.`,
      { remedy: "fatal", details: { store: context.store, task: context.task, dir: context.dir, needs: oldestReader, reads: FORMAT } },
    );
  }
  return undefined;
}

/** RocksDB would quietly begin anew where its CURRENT file is gone: that is a loss, not a new store. */
export async function inspectRocks(dir: string): Promise<string | undefined> {
  if (!existsSync(dir)) return undefined;
  const files = await readdir(dir);
  if (!files.includes("CURRENT")) {
    const left = files.find((file) => /^(MANIFEST-\d+|\d+\.(sst|log))$/.test(file));
    return left === undefined ? undefined : `its CURRENT file is missing, while ${left} is there`;
  }
  const manifest = (await readFile(join(dir, "CURRENT"), "utf8")).trim();
  if (!/^MANIFEST-\d+$/.test(manifest)) return undefined;
  if (!files.includes(manifest)) return `its ${manifest} file, which CURRENT points to, is missing`;
  return await inspectWal(dir);
}

export async function writeFormat(dir: string): Promise<void> {
  if (existsSync(join(dir, FILE))) return;
  await mkdir(dir, { recursive: true });
  await writeFileAtomically(join(dir, FILE), `format ${FORMAT}\noldest-reader ${OLDEST_READER}\n`);
}
