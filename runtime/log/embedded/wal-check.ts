import { readdir, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { KeyfoldError } from "../../errors.ts";
import { type BadPlace, readLogFile } from "./wal-reader.ts";

export interface WalCheckOptions {
  /** RocksDB's directory. */
  readonly dir: string;
  readonly flush: "os" | "commit";
}

/** A hole that a power cut has left: what is lost, in words, and the way to have RocksDB stop there. */
export interface Hole {
  readonly notice: string;
  cut(): Promise<void>;
}

/** The first place where the write-ahead log does not go on as it should, and what lies behind it. */
interface Break {
  readonly kind: BadPlace["kind"] | "gap";
  readonly file: string;
  readonly at: number;
  /** Valid fragments, and whole writes, behind it. */
  fragments: number;
  writes: number;
}

/**
 * Looks at the write-ahead log before RocksDB does. RocksDB stops at the first record that it cannot read, and drops all that follows:
 * right for the torn tail that a crash leaves, a silent loss where a disk has changed a byte in the middle. That is refused.
 *
 * A power cut leaves more than a torn last write under `os`: what was not yet synced, a second's worth, went to the disk in any order, in
 * several files perhaps. It is to be cut at the first hole. RocksDB would not notice where a file ends too early, but between two records.
 *
 * Nothing is changed here: where another process writes meanwhile, what is half written looks like damage, or like a hole.
 */
export async function checkWal({ dir, flush }: WalCheckOptions): Promise<Hole | undefined> {
  const needed = await neededFiles(dir);
  if (needed === undefined) return undefined;
  const { files, oldest } = needed;
  if (files.length === 0 && oldest > 0) throw walGone(dir, oldest);
  const found = await findBreak(dir, files);
  if (found === undefined) return undefined;
  const { kind, file, at, fragments, writes } = found;
  const later = files.slice(files.indexOf(file) + (kind === "gap" ? 0 : 1));
  if (kind === "changed" && fragments > 0) throw damaged(dir, found, later);
  if (kind === "changed" || writes === 0) return undefined;
  if (flush === "commit") throw damaged(dir, found, later);
  return {
    notice: `The log in ${dir} has a hole at byte ${at} of ${file}, as a power cut leaves where "log.flush" is "os": the ${count(writes)} behind it, of the last second before, ${writes === 1 ? "was" : "were"} cut.`,
    cut: async () => {
      if (kind === "gap") for (const name of later) await rename(join(dir, name), join(dir, `${name}.cut`));
    },
  };
}

/**
 * For a database that can be made anew: what is wrong with a write-ahead log of several files of which one ends too early, between two
 * records. RocksDB would go on with the next file, and so have a position without all that belongs to it.
 */
export async function inspectWal(dir: string): Promise<string | undefined> {
  const files = (await neededFiles(dir))?.files ?? [];
  if (files.length < 2) return undefined;
  const found = await findBreak(dir, files);
  return found?.kind === "gap" ? `its write-ahead log has a hole before ${found.file}, as a power cut may leave` : undefined;
}

/** The files of the write-ahead log that hold what is not yet in a table. */
async function neededFiles(dir: string): Promise<{ files: string[]; oldest: number } | undefined> {
  const names = await readdir(dir);
  // After the names: a file that was deleted in between is older than what this says.
  const oldest = await oldestNeeded(dir);
  if (oldest === undefined) return undefined;
  const files = names
    .filter((name) => /^\d+\.log$/.test(name) && Number.parseInt(name, 10) >= oldest)
    .sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10));
  return { files, oldest };
}

async function findBreak(dir: string, files: readonly string[]): Promise<Break | undefined> {
  let found: Break | undefined;
  let next: number | undefined;
  for (const file of files) {
    await readLogFile(join(dir, file), {
      record(at, head) {
        const sequence = Number(head.readBigUInt64LE(0));
        const expected = next ?? sequence;
        // RocksDB goes on behind a torn tail that it has once cut already.
        if (found !== undefined && found.file !== file && sequence === expected) found = undefined;
        if (found === undefined && sequence !== expected) found = { kind: "gap", file, at, fragments: 0, writes: 0 };
        if (found === undefined) next = sequence + head.readUInt32LE(8);
        else found.writes++;
      },
      bad({ at, kind }) {
        found ??= { kind, file, at, fragments: 0, writes: 0 };
      },
      fragment() {
        if (found !== undefined) found.fragments++;
      },
    });
  }
  return found;
}

/** The number of the oldest write-ahead log that holds anything not yet in a table, by the MANIFEST; undefined where that cannot be read. */
async function oldestNeeded(dir: string): Promise<number | undefined> {
  const current = (await readFile(join(dir, "CURRENT"), "utf8")).trim();
  let oldest = 0;
  let readable = true;
  await readLogFile(join(dir, current), {
    record(_at, head) {
      oldest = Math.max(oldest, logNumber(head));
    },
    bad() {
      readable = false;
    },
    fragment: () => undefined,
  });
  return readable ? oldest : undefined;
}

/** Tags of a version edit (db/version_edit.h) that stand before the number, and have a string. */
const DB_ID = 8193;
const COMPARATOR = 1;
const LOG_NUMBER = 2;

function logNumber(edit: Buffer): number {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let factor = 1; at < edit.length; factor *= 128) {
      const byte = edit[at++] as number;
      value += (byte & 127) * factor;
      if (byte < 128) break;
    }
    return value;
  };
  let tag = varint();
  for (; tag === DB_ID || tag === COMPARATOR; tag = varint()) at += varint();
  return tag === LOG_NUMBER ? varint() : 0;
}

const count = (writes: number): string => (writes === 1 ? "one write" : `${writes} writes`);

function damaged(dir: string, { kind, file, at, writes }: Break, later: readonly string[]): KeyfoldError {
  const what = kind === "gap" ? `does not begin where the file before it ends` : `cannot be read at byte ${at}`;
  const behind = writes === 0 ? "the write that begins there" : `${count(writes)} behind it`;
  const path = join(dir, file);
  const cut = kind === "gap" ? [] : [`cut that file there (truncate -s ${at} ${path})`];
  const away = later.length === 0 ? [] : [`move ${later.map((name) => join(dir, name)).join(", ")} away`];
  return new KeyfoldError(
    "log-corrupt",
    `The log in ${dir} is damaged: ${path} ${what}, which no crash does, and ${behind} would be lost. Nothing was changed. Restore the directory from a copy; or, to go on without them, keep a copy of it and ${[...cut, ...away].join(", then ")}.`,
    { remedy: "corrupt", details: { dir, file, offset: at, writes } },
  );
}

function walGone(dir: string, oldest: number): KeyfoldError {
  return new KeyfoldError(
    "log-corrupt",
    `The log in ${dir} is damaged: its write-ahead log (${String(oldest).padStart(6, "0")}.log or later) is missing, with the newest of what was acknowledged. Restore the directory from a copy.`,
    { remedy: "corrupt", details: { dir } },
  );
}
