import { stat } from "node:fs/promises";

/** Time of change and size of some files, to see whether any has changed since. A missing file has a stamp too. */
export class Stamps {
  readonly #stamps = new Map<string, string>();

  constructor(files: readonly string[]) {
    for (const file of files) this.#stamps.set(file, "");
  }

  get files(): string[] {
    return [...this.#stamps.keys()];
  }

  async take(): Promise<void> {
    await Promise.all(this.files.map(async (file) => this.#stamps.set(file, await stamp(file))));
  }

  /** These files' stamps: the ones taken already, and new ones for the rest. */
  async extend(files: readonly string[]): Promise<Stamps> {
    const extended = new Stamps(files);
    for (const file of files) extended.#stamps.set(file, this.#stamps.get(file) ?? (await stamp(file)));
    return extended;
  }

  async changed(): Promise<boolean> {
    const differ = await Promise.all([...this.#stamps].map(async ([file, then]) => (await stamp(file)) !== then));
    return differ.includes(true);
  }
}

async function stamp(file: string): Promise<string> {
  try {
    const { mtimeMs, size, ino } = await stat(file);
    return `${mtimeMs} ${size} ${ino}`;
  } catch {
    return "missing";
  }
}
