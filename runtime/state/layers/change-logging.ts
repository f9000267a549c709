import { KeyfoldError } from "../../errors.ts";
import { fastBuffer } from "../../log/fast-buffer.ts";
import type { RecordBatch } from "../../log/record-batch.ts";
import type { ValueCodec } from "../codec.ts";
import { KeyBuffers } from "../key-buffers.ts";
import { LastWrites } from "../last-rows.ts";
import { mapEntries, mergeOver } from "../merge.ts";
import { PositionKeeper } from "../position-keeper.ts";
import type { RecordCache } from "../record-cache.ts";
import { MISS, RowCache } from "../row-cache.ts";
import { compareUtf8, distinctUtf8, prefixEnd } from "../sorted-keys.ts";
import { StagedWrites } from "../staged-writes.ts";
import type { Engine, Stamped, StorePosition, StoreSpec, StoreWrite, StoreWrites } from "../store.ts";
import type { ChangeListener, StoreLayer } from "./layer.ts";

/** Less would forget a row before it is asked for again. */
const LEAST_ROW_CACHE = 256 * 1024;
const ILL_FORMED = /\p{Surrogate}/u;

/**
 * Serializes writes, logs them, and holds them back from the engine until the log has them: the engine never holds what
 * the changelog does not, so that after any crash it rolls forward from its own position.
 *
 *   put → staged + changelog batch → takeChangelog() → sealed → (the log acknowledges) committed() → engine, one batch
 *
 * Reads look at staged, then sealed, then the engine.
 */
export class ChangeLoggingStore<V = unknown> implements StoreLayer<V> {
  readonly spec: StoreSpec;
  readonly cached = false;
  readonly #engine: Engine;
  readonly #codec: ValueCodec;
  readonly #positions: PositionKeeper;
  /** Counts what is held back, so that a worker without a record cache commits in time too. */
  readonly #memory: RecordCache;
  #staged: StagedWrites;
  #sealed: StagedWrites;
  #accounted = 0;
  #accountedSealed = 0;
  readonly #recent: RowCache | undefined;
  /** Its places when the first of the writes that are staged or sealed came. */
  #stagedSince = 0;
  #sealedSince = 0;
  readonly #keyBuffers = new KeyBuffers();
  #closed = false;
  /** What prefetch() read for the batch under way; only used where there is no cache above. */
  readonly #ahead = new Map<string, Uint8Array | undefined>();
  #changed: ChangeListener<V> | undefined;

  /** `rowCacheBytes`: of memory for the rows written last; 0 for none. */
  constructor(
    spec: StoreSpec,
    engine: Engine,
    codec: ValueCodec,
    memory: RecordCache,
    now: () => number,
    { maxBatchBytes, rowCacheBytes = 0 }: { readonly maxBatchBytes?: number | undefined; readonly rowCacheBytes?: number } = {},
  ) {
    this.#recent = rowCacheBytes < LEAST_ROW_CACHE ? undefined : new RowCache(rowCacheBytes);
    this.spec = spec;
    this.#engine = engine;
    this.#codec = codec;
    this.#memory = memory;
    this.#positions = new PositionKeeper(engine, now);
    this.#staged = new StagedWrites(maxBatchBytes);
    this.#sealed = new StagedWrites(maxBatchBytes);
  }

  get name(): string {
    return this.spec.name;
  }

  get(key: string): Stamped<V> | undefined {
    const row = this.#recent?.find(key) ?? MISS;
    if (row !== MISS) return this.#decodeRow(key, row);
    const bytes = this.#read(key);
    return bytes === undefined ? undefined : this.#decode(key, bytes);
  }

  readMany(keys: readonly string[], take: (key: string, entry: Stamped<V> | undefined) => void): void {
    const recent = this.#recent;
    const others: string[] = [];
    for (const key of keys) {
      const row = recent === undefined ? MISS : recent.find(key);
      if (row === MISS) others.push(key);
      else {
        let entry: Stamped<V> | undefined;
        try {
          entry = this.#decodeRow(key, row);
        } catch {
          continue;
        }
        take(key, entry);
      }
    }
    this.#readMany(others, (key, bytes) => {
      if (bytes === undefined) return take(key, undefined);
      let entry: Stamped<V>;
      try {
        entry = this.#decode(key, bytes);
      } catch {
        return;
      }
      take(key, entry);
    });
  }

  prefetch(keys: readonly string[]): void {
    this.#ahead.clear();
    const recent = this.#recent;
    this.#readMany(recent === undefined ? keys : keys.filter((key) => recent.find(key) === MISS), (key, bytes) =>
      this.#ahead.set(key, bytes),
    );
  }

  put(key: string, value: V, timestamp: number): void {
    if (value === null || value === undefined) {
      this.delete(key, timestamp);
      return;
    }
    this.#checkKey(key);
    const bytes = this.#codec.encode(key, value, timestamp);
    this.#stage(key, bytes, bytes.start, bytes.end, timestamp);
    this.#changed?.(key, value, timestamp);
  }

  delete(key: string, timestamp: number): void {
    this.#checkKey(key);
    this.#stage(key, null, 0, 0, timestamp);
    this.#changed?.(key, undefined, timestamp);
  }

  range(from?: string, to?: string, { reverse = false }: { reverse?: boolean } = {}): IterableIterator<[string, Stamped<V>]> {
    const stored = this.#engine.range(
      from === undefined ? undefined : Buffer.from(from),
      to === undefined ? undefined : Buffer.from(to),
      reverse,
    );
    const compare = reverse ? (a: string, b: string) => compareUtf8(b, a) : compareUtf8;
    let rows = mapEntries(stored, ([key, value]): [string, Uint8Array] => [toText(key), value]);
    for (const staged of [this.#sealed, this.#staged]) {
      if (staged.drops.length > 0) rows = mapEntries(rows, notCovered(staged));
      rows = mergeOver(staged.range(from, to, reverse), rows, compare);
    }
    return mapEntries(rows, ([key, bytes]): [string, Stamped<V>] => [key, this.#decode(key, bytes)]);
  }

  prefix(prefix: string): IterableIterator<[string, Stamped<V>]> {
    return this.range(prefix, prefixEnd(prefix));
  }

  dropRange(from: string, to: string): void {
    if (compareUtf8(from, to) >= 0) return;
    this.#ahead.clear();
    this.#recent?.clear();
    // The rows written last say nothing of what is dropped.
    this.#stagedSince = -1;
    this.#staged.drop(from, to);
  }

  *keys(): Iterable<string> {
    for (const [key] of this.#engine.range(undefined, undefined)) yield toText(key);
  }

  approximateEntries(): number {
    return this.#engine.approximateEntries() + this.#staged.size + this.#sealed.size;
  }

  /** Nothing waits above this layer. */
  flush(): void {}

  get dirty(): boolean {
    return false;
  }

  onFlush(): void {}

  onChange(listener: ChangeListener<V> | undefined): void {
    this.#changed = listener;
  }

  takeChangelog(): { readonly data: Uint8Array; readonly count: number } | undefined {
    const taken = this.spec.logged ? this.#staged.changelog() : undefined;
    this.#seal();
    return taken;
  }

  committed(position: number | undefined): void {
    if (!this.spec.logged) this.#seal();
    const sealed = this.#sealed;
    for (const { from, to } of sealed.drops) this.#engine.dropRange(Buffer.from(from), Buffer.from(to));
    this.#apply(sealed.writes(), position);
    sealed.clear();
    this.#ahead.clear();
    this.#account();
  }

  rollback(): void {
    this.#recent?.clear();
    this.#staged.clear();
    this.#sealed.clear();
    this.#ahead.clear();
    this.#account();
  }

  restore(batch: RecordBatch, next: number): number {
    this.#recent?.clear();
    this.#ahead.clear();
    const applied = this.#positions.offset;
    // Offsets ascend: what the engine has already is at the beginning.
    let first = 0;
    while (first < batch.length && (batch.offsets[first] as number) < applied) first++;
    let keyed = 0;
    for (let row = first; row < batch.length; row++) if ((batch.keyStart[row] as number) >= 0) keyed++;
    this.#apply(new LastWrites(batch, first), next);
    return keyed;
  }

  position(): StorePosition | undefined {
    return this.#positions.current;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.rollback();
    try {
      this.#positions.settle();
    } catch {
      // A full disk, or a directory that is gone: the stored position stays an older, true one.
    }
    await this.#engine.close();
  }

  #apply(writes: StoreWrites, position: number | undefined): void {
    // Somebody else's engine may keep what it is given.
    this.#positions.write(this.spec.engine.kind === "custom" ? Array.from(writes, copied) : writes, position);
  }

  #stage(key: string, bytes: Uint8Array | null, from: number, to: number, timestamp: number): void {
    if (this.#staged.empty) this.#stagedSince = this.#recent?.place ?? 0;
    this.#staged.set(key, bytes, from, to, timestamp);
    this.#recent?.set(key, bytes, from, to);
    if (this.#ahead.size > 0) this.#ahead.delete(key);
    this.#account();
  }

  #seal(): void {
    if (this.#staged.empty) return;
    if (this.#sealed.empty) {
      [this.#sealed, this.#staged] = [this.#staged, this.#sealed];
      this.#sealedSince = this.#stagedSince;
    } else {
      this.#sealed.absorb(this.#staged);
      this.#staged.clear();
    }
    this.#account();
  }

  #account(): void {
    const sealed = this.#sealed.bytes;
    const bytes = this.#staged.bytes + sealed;
    this.#memory.stagedBytes += bytes - this.#accounted;
    this.#memory.sealedBytes += sealed - this.#accountedSealed;
    this.#accounted = bytes;
    this.#accountedSealed = sealed;
  }

  /** The staged state of a key that is not among the rows written last: its bytes, undefined for a deletion, "below" when the engine has the word. */
  #readStaged(key: string): Uint8Array | undefined | "below" {
    // As a rule those have all that is staged, and nothing needs to be looked up in it.
    if (this.#recent?.holdsSince(this.#sealed.empty ? this.#stagedSince : this.#sealedSince) === true) return "below";
    if (!this.#staged.empty) {
      const value = this.#staged.get(key);
      if (value !== undefined) return value ?? undefined;
      if (this.#staged.covers(key)) return undefined;
    }
    if (!this.#sealed.empty) {
      const value = this.#sealed.get(key);
      if (value !== undefined) return value ?? undefined;
      if (this.#sealed.covers(key)) return undefined;
    }
    return "below";
  }

  #read(key: string): Uint8Array | undefined {
    const staged = this.#readStaged(key);
    if (staged !== "below") return staged;
    if (this.#ahead.size > 0 && this.#ahead.has(key)) return this.#ahead.get(key);
    return this.#engine.get(Buffer.from(key));
  }

  #readMany(keys: readonly string[], take: (key: string, bytes: Uint8Array | undefined) => void): void {
    const below: string[] = [];
    for (const key of keys) {
      const staged = this.#readStaged(key);
      if (staged === "below") below.push(key);
      else take(key, staged);
    }
    if (below.length === 0) return;
    // Their order makes RocksDB's multi-get about twice as cheap.
    distinctUtf8(below);
    // As in #apply.
    const own = this.spec.engine.kind === "custom";
    const found = this.#engine.getMany(own ? below.map((key) => Buffer.from(key)) : this.#keyBuffers.of(below));
    for (let i = 0; i < below.length; i++) take(below[i] as string, found[i]);
  }

  #decode(key: string, bytes: Uint8Array): Stamped<V> {
    return this.#codec.decode(key, bytes) as Stamped<V>;
  }

  #decodeRow(key: string, row: number): Stamped<V> | undefined {
    const recent = this.#recent as RowCache;
    const from = recent.valueStart(row);
    return from === MISS ? undefined : (this.#codec.decode(key, recent.memory, from, recent.valueEnd(row)) as Stamped<V>);
  }

  #checkKey(key: string): void {
    if (ILL_FORMED.test(key))
      throw new KeyfoldError(
        "state-unstorable",
        `The key ${JSON.stringify(key)} of store "${this.name}" has half of a surrogate pair in it, which UTF-8 cannot express.`,
        {
          details: { store: this.name, key },
        },
      );
  }
}

function copied({ key, value }: StoreWrite): StoreWrite {
  return { key: Buffer.from(key), value: value === undefined ? undefined : Buffer.from(value) };
}

/** Leaves out what the drops of this moment cover. */
function notCovered(staged: StagedWrites): (row: [string, Uint8Array]) => [string, Uint8Array] | undefined {
  const drops = [...staged.drops];
  return (row) => (drops.some(({ from, to }) => compareUtf8(row[0], from) >= 0 && compareUtf8(row[0], to) < 0) ? undefined : row);
}

function toText(bytes: Uint8Array): string {
  const buffer = fastBuffer(Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  return buffer.utf8Slice(0, buffer.length);
}
