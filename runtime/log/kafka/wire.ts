import { asBuffer, readInt64, writeInt64 } from "../batch-header.ts";

/** Writes Kafka's protocol types (https://kafka.apache.org/protocol#protocol_types) into one buffer that grows. */
export class Writer {
  #buffer: Buffer;
  #at = 0;

  /** `size`: bytes to begin with; exact where a large body follows. */
  constructor(size = 256) {
    this.#buffer = Buffer.allocUnsafe(size);
  }

  get length(): number {
    return this.#at;
  }

  int8(value: number): this {
    const at = this.#room(1);
    this.#buffer.writeInt8(value, at);
    return this;
  }

  int16(value: number): this {
    const at = this.#room(2);
    this.#buffer.writeInt16BE(value, at);
    return this;
  }

  int32(value: number): this {
    const at = this.#room(4);
    this.#buffer.writeInt32BE(value, at);
    return this;
  }

  int64(value: number): this {
    const at = this.#room(8);
    writeInt64(this.#buffer, value, at);
    return this;
  }

  bool(value: boolean): this {
    return this.int8(value ? 1 : 0);
  }

  uvarint(value: number): this {
    let rest = value;
    for (; rest > 127; rest >>>= 7) this.int8((((rest & 127) | 128) << 24) >> 24);
    return this.int8(rest);
  }

  string(value: string | null): this {
    if (value === null) return this.int16(-1);
    const length = Buffer.byteLength(value);
    this.int16(length);
    this.#text(value, length);
    return this;
  }

  bytes(value: Uint8Array | null): this {
    return value === null ? this.int32(-1) : this.int32(value.length).raw(value);
  }

  compactString(value: string | null): this {
    if (value === null) return this.uvarint(0);
    const length = Buffer.byteLength(value);
    this.uvarint(length + 1);
    this.#text(value, length);
    return this;
  }

  array<T>(items: readonly T[], write: (writer: this, item: T) => void): this {
    this.int32(items.length);
    for (const item of items) write(this, item);
    return this;
  }

  compactArray<T>(items: readonly T[], write: (writer: this, item: T) => void): this {
    this.uvarint(items.length + 1);
    for (const item of items) write(this, item);
    return this;
  }

  /** No tagged fields: the end of every structure in a flexible version. */
  tags(): this {
    return this.uvarint(0);
  }

  raw(bytes: Uint8Array): this {
    const at = this.#room(bytes.length);
    this.#buffer.set(bytes, at);
    return this;
  }

  /** An int32 size, then what `write` writes. */
  sized(write: () => void): this {
    const at = this.#room(4);
    write();
    this.#buffer.writeInt32BE(this.#at - at - 4, at);
    return this;
  }

  /** The bytes written so far, from `from` on, as a view that the next write may invalidate. */
  view(from = 0): Buffer {
    return this.#buffer.subarray(from, this.#at);
  }

  #text(value: string, length: number): void {
    const at = this.#room(length);
    this.#buffer.write(value, at, length);
  }

  #room(bytes: number): number {
    const at = this.#at;
    if (at + bytes > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, at + bytes));
      this.#buffer.copy(larger, 0, 0, at);
      this.#buffer = larger;
    }
    this.#at += bytes;
    return at;
  }
}

/** Reads what Writer writes. Reading past the end throws a RangeError: the connection is then out of step. */
export class Reader {
  readonly #buffer: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#buffer = asBuffer(bytes);
  }

  int8(): number {
    return this.#buffer.readInt8(this.#step(1));
  }

  int16(): number {
    return this.#buffer.readInt16BE(this.#step(2));
  }

  int32(): number {
    return this.#buffer.readInt32BE(this.#step(4));
  }

  int64(): number {
    return readInt64(this.#buffer, this.#step(8));
  }

  bool(): boolean {
    return this.int8() !== 0;
  }

  uvarint(): number {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.#buffer.readUInt8(this.#step(1));
      value |= (byte & 127) << shift;
      if (byte < 128) return value >>> 0;
    }
  }

  string(): string | null {
    return this.#text(this.int16());
  }

  text(): string {
    return this.string() ?? "";
  }

  bytes(): Buffer | null {
    const length = this.int32();
    return length < 0 ? null : this.#slice(length);
  }

  compactString(): string | null {
    return this.#text(this.uvarint() - 1);
  }

  array<T>(read: (reader: this) => T): T[] {
    return this.#items(this.int32(), read);
  }

  compactArray<T>(read: (reader: this) => T): T[] {
    return this.#items(this.uvarint() - 1, read);
  }

  /** Skips tagged fields; none that exist matter to us. */
  tags(): void {
    for (let left = this.uvarint(); left > 0; left--) {
      this.uvarint();
      this.#step(this.uvarint());
    }
  }

  #items<T>(length: number, read: (reader: this) => T): T[] {
    const items: T[] = [];
    for (let i = 0; i < length; i++) items.push(read(this));
    return items;
  }

  #text(length: number): string | null {
    return length < 0 ? null : this.#slice(length).toString();
  }

  #slice(length: number): Buffer {
    const at = this.#step(length);
    return this.#buffer.subarray(at, at + length);
  }

  #step(bytes: number): number {
    const at = this.#at;
    if (at + bytes > this.#buffer.length) throw new RangeError(`a response ends ${at + bytes - this.#buffer.length} bytes too early`);
    this.#at += bytes;
    return at;
  }
}
