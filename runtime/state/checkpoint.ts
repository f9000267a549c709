import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { OffsetCommit } from "../log/log.ts";
import { writeFileAtomically } from "./atomic-file.ts";

const FILE = ".checkpoint";

/**
 * A task's `.checkpoint`: how far each of its changelogs is in its stores, in Kafka Streams' own text format (version,
 * number of lines, then `topic partition offset` a line). For people, and for stores that cannot keep their own position.
 */
export class Checkpoint {
  readonly #path: string;
  #written: Map<string, number> | undefined;

  constructor(taskDir: string) {
    this.#path = join(taskDir, FILE);
  }

  /** Empty when there is none, or none that can be read. */
  async read(): Promise<OffsetCommit[]> {
    return [...(await this.#load())].map(([name, offset]) => {
      const [topic = "", partition] = name.split(" ");
      return { topic, partition: Number(partition), offset };
    });
  }

  /** Writes what has advanced; offsets never go backwards, and nothing is written when nothing advanced. Partitions not named keep theirs. */
  async write(offsets: readonly OffsetCommit[]): Promise<void> {
    const merged = new Map(await this.#load());
    let advanced = false;
    for (const { topic, partition, offset } of offsets) {
      const name = `${topic} ${partition}`;
      const before = merged.get(name);
      if (before !== undefined && before >= offset) continue;
      merged.set(name, offset);
      advanced = true;
    }
    if (!advanced) return;
    const lines = [...merged].map(([name, offset]) => `${name} ${offset}\n`);
    await writeFileAtomically(this.#path, `0\n${lines.length}\n${lines.join("")}`);
    this.#written = merged;
  }

  async #load(): Promise<Map<string, number>> {
    this.#written ??= parse(await readFile(this.#path, "utf8").catch(() => ""));
    return this.#written;
  }
}

/** A file that does not say what it should is as good as none: the stores know their own positions. */
function parse(text: string): Map<string, number> {
  const [version, count, ...lines] = text.trimEnd().split("\n");
  const offsets = new Map<string, number>();
  if (version !== "0" || Number(count) !== lines.length) return offsets;
  for (const line of lines) {
    const match = /^(\S+) (\d+) (\d+)$/.exec(line);
    if (match === null) return new Map();
    offsets.set(`${match[1]} ${match[2]}`, Number(match[3]));
  }
  return offsets;
}
