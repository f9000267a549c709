import { open, readdir, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { KeyfoldError } from "../../errors.ts";

/** Version of the layout this code writes, and the oldest one whose readers can still make sense of it. */
const FORMAT = 1;
const OLDEST_READER = 1;

/**
 * Reads the directory's FORMAT file, which is there once the log has been opened; throws `format-newer` where a later keyfold wrote
 * what this one cannot read. Resolves to whether it is there.
 */
export async function checkFormat(dir: string): Promise<boolean> {
  const file = join(dir, "FORMAT");
  const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (text === undefined) return false;
  const stored = parse(text);
  if (stored === undefined) {
    throw new KeyfoldError("log-corrupt", `${file} is not readable: it should say which version wrote this log. Restore it from a copy.`, {
      remedy: "corrupt",
      details: { file },
    });
  }
  if (stored.oldestReader > FORMAT) {
    throw new KeyfoldError(
      "format-newer",
      `The log in ${dir} was written in format ${stored.format} and can be read from format ${stored.oldestReader} on; this keyfold knows format ${FORMAT}. Run the newer version again.`,
      { details: { dir, format: stored.format, oldestReader: stored.oldestReader, known: FORMAT } },
    );
  }
  return true;
}

/**
 * RocksDB begins anew where its CURRENT file is gone, and takes a missing file for one that may come back: here both are a loss.
 * `opened`: there has been a log. Resolves to whether there is one.
 */
export async function checkFiles(dir: string, opened: boolean): Promise<boolean> {
  const missing = (file: string): KeyfoldError =>
    new KeyfoldError(
      "log-corrupt",
      `The log in ${dir} is damaged: ${file} is missing. Restore the directory from a copy, or move it away to begin with an empty log.`,
      { remedy: "corrupt", details: { dir, missing: file } },
    );
  const files = await readdir(dir).catch(nothingThere);
  if (files === undefined && opened) throw missing(dir);
  if (files === undefined) return false;
  if (!files.includes("CURRENT")) {
    // A first opening that was cut short has got no further than a MANIFEST.
    if (opened || files.some((file) => /^\d+\.(sst|log)$/.test(file))) throw missing(join(dir, "CURRENT"));
    return false;
  }
  const manifest = (await readFile(join(dir, "CURRENT"), "utf8")).trim();
  if (/^MANIFEST-\d+$/.test(manifest) && !files.includes(manifest)) throw missing(join(dir, manifest));
  return true;
}

function nothingThere(error: NodeJS.ErrnoException): undefined {
  if (error.code !== "ENOENT") throw error;
}

function parse(text: string): { format: number; oldestReader: number } | undefined {
  try {
    const { format, oldestReader } = JSON.parse(text) as { format: unknown; oldestReader: unknown };
    return Number.isInteger(format) && Number.isInteger(oldestReader)
      ? { format: Number(format), oldestReader: Number(oldestReader) }
      : undefined;
  } catch {
    return undefined;
  }
}

export async function writeFormat(dir: string): Promise<void> {
  const file = join(dir, "FORMAT");
  const handle = await open(`${file}.new`, "w");
  try {
    await handle.writeFile(`${JSON.stringify({ format: FORMAT, oldestReader: OLDEST_READER })}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(`${file}.new`, file);
}
