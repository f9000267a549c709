import * as zlib from "node:zlib";
import { KeyfoldError } from "../../../errors.ts";
import { lz4Compress, lz4Decompress } from "./lz4.ts";
import { snappyCompress, snappyDecompress } from "./snappy.ts";

export type Compression = "none" | "gzip" | "snappy" | "lz4" | "zstd";

/** By the number in a batch's attributes. */
export const COMPRESSION_NAMES: readonly Compression[] = ["none", "gzip", "snappy", "lz4", "zstd"];

/** No batch is larger than this unpacked: Kafka's limit for a packed one is 1 MiB unless a topic says otherwise. */
const MOST_BYTES = 512 * 1024 * 1024;

export function decompress(kind: number, bytes: Buffer): Buffer {
  switch (COMPRESSION_NAMES[kind]) {
    case "gzip":
      return zlib.gunzipSync(bytes, { maxOutputLength: MOST_BYTES });
    case "snappy":
      return snappyDecompress(bytes);
    case "lz4":
      return lz4Decompress(bytes);
    case "zstd":
      return zstd().zstdDecompressSync(bytes, { maxOutputLength: MOST_BYTES });
    default:
      throw new Error(`compression ${kind} is not known`);
  }
}

export function compress(kind: Compression, bytes: Buffer): Buffer {
  switch (kind) {
    case "none":
      return bytes;
    case "gzip":
      return zlib.gzipSync(bytes, { level: 1 });
    case "snappy":
      return snappyCompress(bytes);
    case "lz4":
      return lz4Compress(bytes);
    case "zstd":
      return zstd().zstdCompressSync(bytes);
  }
}

/** Throws when this Node cannot do it: better at the start than at the first batch. */
export function checkCompression(kind: Compression): void {
  if (kind === "zstd") zstd();
}

interface Zstd {
  zstdCompressSync(bytes: Buffer): Buffer;
  zstdDecompressSync(bytes: Buffer, options: { maxOutputLength: number }): Buffer;
}

function zstd(): Zstd {
  const { zstdCompressSync, zstdDecompressSync } = zlib as Partial<Zstd>;
  if (zstdCompressSync !== undefined && zstdDecompressSync !== undefined) return { zstdCompressSync, zstdDecompressSync };
  throw new KeyfoldError(
    "log-unavailable",
    `Records compressed with zstd need Node 22.15 or later, this is ${process.version}. Use a newer Node, or let the producers of the topic use another compression.`,
    { remedy: "user" },
  );
}
