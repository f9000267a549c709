/** The part of the binding (`npm:@nxtedition/rocksdb`) that keyfold uses; it ships no types of its own. */
declare module "rocksdb" {
  /** A native column family handle. */
  export interface Column {
    readonly __column: never;
  }

  export interface ColumnOptions {
    /** zstd where true (the default). */
    readonly compression?: boolean;
    readonly compaction?: "universal" | "level";
    /** Bytes; read only when `compaction` is given. The write buffer is a quarter of it. */
    readonly memtableMemoryBudget?: number;
    /** Block cache, bytes. Default 8 MiB. */
    readonly cacheSize?: number;
    readonly cacheIndexAndFilterBlocks?: boolean;
    readonly optimize?: "point-lookup" | "";
    readonly blockSize?: number;
  }

  export interface OpenOptions extends ColumnOptions {
    readonly createIfMissing?: boolean;
    readonly errorIfExists?: boolean;
    readonly walCompression?: boolean;
    readonly parallelism?: number;
    readonly infoLogLevel?: "debug" | "info" | "warn" | "error" | "fatal" | "header";
    readonly columns?: Readonly<Record<string, ColumnOptions>>;
  }

  export interface Target {
    /** Default: the column "default". */
    readonly column?: Column;
  }

  export interface RangeOptions extends Target {
    readonly gte?: Uint8Array;
    readonly gt?: Uint8Array;
    readonly lt?: Uint8Array;
    readonly lte?: Uint8Array;
    readonly reverse?: boolean;
    readonly limit?: number;
  }

  export interface IteratorOptions extends RangeOptions {
    readonly keyEncoding?: "buffer" | "utf8";
    readonly valueEncoding?: "buffer" | "utf8";
    readonly keys?: boolean;
    readonly values?: boolean;
    readonly fillCache?: boolean;
    readonly highWaterMarkBytes?: number;
  }

  export interface Batch {
    readonly length: number;
    _put(key: Uint8Array | string, value: Uint8Array | string, target?: Target): void;
    _del(key: Uint8Array | string, target?: Target): void;
    _clear(): void;
    _writeSync(options?: { readonly sync?: boolean }): void;
    _closeSync(): void;
  }

  export interface RowIterator {
    _seekSync(target: Uint8Array): void;
    /** Up to `count` rows, as key, value, key, value, ... */
    _nextvSync(count: number, options: object): { readonly rows: Buffer[]; readonly finished: boolean };
    _closeSync(): void;
  }

  export class RocksLevel {
    constructor(location: string);
    readonly status: "opening" | "open" | "closing" | "closed";
    readonly columns: Readonly<Record<string, Column>>;
    readonly sequence: number;
    open(options: OpenOptions): Promise<void>;
    close(): Promise<void>;
    _chainedBatch(): Batch;
    /** A database keeps every batch and iterator until it is told that it is closed: `_closeSync` does not tell. */
    detachResource(resource: Batch | RowIterator): void;
    _getManySync(
      keys: readonly (Uint8Array | string)[],
      options?: Target & { readonly valueEncoding?: "buffer"; readonly fillCache?: boolean },
    ): (Buffer | undefined)[];
    _iterator(options: IteratorOptions): RowIterator;
    /** Deletes a range of keys with one range tombstone; synchronous but for the callback. */
    _clear(options: RangeOptions, callback: (error: Error | null) => void): void;
    /** A RocksDB property of the column "default". */
    getProperty(name: string): string;
  }
}
