import { open } from "node:fs/promises";
import { crc32c } from "../crc32c.ts";

/** RocksDB's log format (db/log_format.h), of its write-ahead logs and of its MANIFEST: fragments that never cross a block. */
const BLOCK = 32 * 1024;
const HEADER = 7;
const RECYCLABLE_HEADER = 11;
const FULL = 1;
const FIRST = 2;
const LAST = 4;
/** Types 5 to 8 are 1 to 4 in a file that is used again, with the file's number in their header. */
const RECYCLABLE = 4;
const MAX_TYPE = 8;

const CHUNK = 32 * BLOCK;
/** So much of a record is kept. */
const HEAD = 128;
/** What is lost of a file when the machine dies is lost in pages, which then read as zeros. */
const PAGE = 4096;

/**
 * Where a file cannot be read. `torn`: the file ends there, or pages of it were never written. `changed`: anything else, which is
 * not what a crash leaves.
 */
export interface BadPlace {
  readonly at: number;
  readonly kind: "torn" | "changed";
}

export interface LogFileVisitor {
  /** A whole record: where it begins, and its first bytes. */
  record(at: number, head: Buffer): void;
  /** The first bad place of the file; what comes after is told all the same. */
  bad(place: BadPlace): void;
  /** A valid fragment, of whatever record. */
  fragment(): void;
}

/** Reads a file of RocksDB's log format to its end, with all checksums. */
export async function readLogFile(path: string, visitor: LogFileVisitor): Promise<void> {
  const number = Number(/(\d+)\.log$/.exec(path)?.[1] ?? 0);
  const reader = new LogFileReader(number, visitor);
  const file = await open(path, "r");
  try {
    const chunk = Buffer.allocUnsafe(CHUNK);
    for (let at = 0; ; ) {
      let size = 0;
      for (let read = -1; read !== 0 && size < CHUNK; size += read)
        read = (await file.read(chunk, size, CHUNK - size, at + size)).bytesRead;
      for (let from = 0; from < size; from += BLOCK) reader.block(chunk.subarray(from, Math.min(from + BLOCK, size)), at + from);
      at += size;
      if (size < CHUNK) break;
    }
    reader.end();
  } finally {
    await file.close();
  }
}

class LogFileReader {
  readonly #number: number;
  readonly #visitor: LogFileVisitor;
  #bad: BadPlace | undefined;
  /** The record that fragments are being collected of; undefined between records. */
  #begun: number | undefined;
  #head = Buffer.alloc(HEAD);
  #headLength = 0;

  constructor(number: number, visitor: LogFileVisitor) {
    this.#number = number;
    this.#visitor = visitor;
  }

  block(block: Buffer, blockAt: number): void {
    for (let at = 0; at < block.length; ) {
      if (block.length - at < HEADER) {
        // A full block ends in a few bytes that no header fits into; a file that ends so was cut.
        if (block.length < BLOCK) this.#spoil(blockAt + at, "torn");
        return;
      }
      const end = this.#fragmentEnd(block, at);
      if (end > 0) {
        this.#fragment(block, at, end, blockAt);
        at = end;
        continue;
      }
      // Its length may be wrong too. What RocksDB would drop with it is searched once; from there on whole blocks are skipped, as it does.
      const next = this.#bad === undefined ? this.#nextFragment(block, at + 1) : block.length;
      this.#spoil(blockAt + at, whatHappened(block, at, next));
      at = next;
    }
  }

  end(): void {
    if (this.#begun !== undefined) this.#spoil(this.#begun, "torn");
  }

  /** Where a valid fragment ends; 0: there is none. */
  #fragmentEnd(block: Buffer, at: number): number {
    const type = block[at + 6] as number;
    if (type === 0 || type > MAX_TYPE) return 0;
    const header = type > RECYCLABLE ? RECYCLABLE_HEADER : HEADER;
    const end = at + header + block.readUInt16LE(at + 4);
    if (end > block.length) return 0;
    if (header === RECYCLABLE_HEADER && block.readUInt32LE(at + HEADER) !== this.#number) return 0;
    return unmasked(block.readUInt32LE(at)) === crc32c(block, at + 6, end) ? end : 0;
  }

  #nextFragment(block: Buffer, from: number): number {
    for (let at = from; at <= block.length - HEADER; at++) if (this.#fragmentEnd(block, at) > 0) return at;
    return block.length;
  }

  #fragment(block: Buffer, at: number, end: number, blockAt: number): void {
    this.#visitor.fragment();
    const raw = block[at + 6] as number;
    const type = raw > RECYCLABLE ? raw - RECYCLABLE : raw;
    const begins = type === FULL || type === FIRST;
    if (begins !== (this.#begun === undefined)) {
      this.#spoil(this.#begun ?? blockAt + at, "changed");
      if (!begins) return;
    }
    if (begins) {
      this.#begun = blockAt + at;
      this.#headLength = 0;
    }
    const payload = at + (raw > RECYCLABLE ? RECYCLABLE_HEADER : HEADER);
    this.#headLength += block.copy(this.#head, this.#headLength, payload, Math.min(end, payload + HEAD - this.#headLength));
    if (type !== FULL && type !== LAST) return;
    const begun = this.#begun as number;
    this.#begun = undefined;
    this.#visitor.record(begun, this.#head.subarray(0, this.#headLength));
  }

  /** Whatever record was begun is not whole. */
  #spoil(at: number, kind: BadPlace["kind"]): void {
    const begun = this.#begun;
    this.#begun = undefined;
    if (this.#bad !== undefined) return;
    // A record is cut where it begins.
    this.#bad = { at: begun ?? at, kind };
    this.#visitor.bad(this.#bad);
  }
}

function whatHappened(block: Buffer, at: number, next: number): BadPlace["kind"] {
  const end = at + HEADER + block.readUInt16LE(at + 4);
  if (block.length < BLOCK && end > block.length && next === block.length) return "torn";
  for (let page = at; page < Math.min(end, block.length); page = pageEnd(page)) {
    if (isZero(block, page, Math.min(pageEnd(page), block.length))) return "torn";
  }
  return "changed";
}

const pageEnd = (at: number): number => at - (at % PAGE) + PAGE;

function isZero(bytes: Buffer, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if (bytes[at] !== 0) return false;
  return true;
}

/** RocksDB stores checksums turned and shifted. */
function unmasked(crc: number): number {
  const turned = (crc - 0xa282ead8) >>> 0;
  return ((turned >>> 17) | (turned << 15)) >>> 0;
}
