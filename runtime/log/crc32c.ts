/** Slicing-by-8 tables of CRC-32C (Castagnoli, reflected polynomial 0x82F63B78): table k is at k * 256. */
const TABLES = makeTables();

function makeTables(): Int32Array {
  const tables = new Int32Array(8 * 256);
  for (let n = 0; n < 256; n++) {
    let c = n;
    for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
    tables[n] = c;
  }
  for (let n = 0; n < 256; n++) {
    let c = tables[n] as number;
    for (let k = 1; k < 8; k++) {
      c = (tables[c & 0xff] as number) ^ (c >>> 8);
      tables[k * 256 + n] = c;
    }
  }
  return tables;
}

/** CRC-32C of bytes[from, to), as Kafka puts it in record batches: an unsigned 32-bit number. */
export function crc32c(bytes: Uint8Array, from = 0, to: number = bytes.length): number {
  const t = TABLES;
  let c = -1;
  let p = from;
  const wide = to - 7;
  // Every index below is in range by construction; the casts are for the compiler only.
  while (p < wide) {
    c ^= (bytes[p] as number) | ((bytes[p + 1] as number) << 8) | ((bytes[p + 2] as number) << 16) | ((bytes[p + 3] as number) << 24);
    c =
      (t[1792 + (c & 0xff)] as number) ^
      (t[1536 + ((c >>> 8) & 0xff)] as number) ^
      (t[1280 + ((c >>> 16) & 0xff)] as number) ^
      (t[1024 + (c >>> 24)] as number) ^
      (t[768 + (bytes[p + 4] as number)] as number) ^
      (t[512 + (bytes[p + 5] as number)] as number) ^
      (t[256 + (bytes[p + 6] as number)] as number) ^
      (t[bytes[p + 7] as number] as number);
    p += 8;
  }
  while (p < to) c = (t[(c ^ (bytes[p++] as number)) & 0xff] as number) ^ (c >>> 8);
  return ~c >>> 0;
}
