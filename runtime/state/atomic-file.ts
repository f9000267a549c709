import { open, rename, rm } from "node:fs/promises";
import { fileError } from "./store-errors.ts";

/** Writes the whole file or nothing: a crash leaves the old content or the new one. */
export async function writeFileAtomically(path: string, text: string): Promise<void> {
  const temporary = `${path}.tmp`;
  try {
    const file = await open(temporary, "w");
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (thrown) {
    await rm(temporary, { force: true });
    throw fileError(thrown, path);
  }
}
