import { mkdir, open, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { KeyfoldError } from "../../errors.ts";

/** Version of the layout this code writes, and the oldest one whose readers can still make sense of it. */
const FORMAT = 1;
const OLDEST_READER = 1;

/** Reads or writes the directory's FORMAT file; throws `format-newer` where a later keyfold wrote what this one cannot read. */
export async function checkFormat(dir: string): Promise<void> {
  await mkdir(dir, { recursive: true });
  const file = join(dir, "FORMAT");
  const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (text === undefined) return writeFormat(file);
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

async function writeFormat(file: string): Promise<void> {
  const handle = await open(`${file}.new`, "w");
  try {
    await handle.writeFile(`${JSON.stringify({ format: FORMAT, oldestReader: OLDEST_READER })}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(`${file}.new`, file);
}
