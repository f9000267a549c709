/** What an embedded log has done since it was opened. Bytes are those of encoded batches. */
export interface EmbeddedMetrics {
  recordsAppended: number;
  bytesAppended: number;
  fetches: number;
  bytesFetched: number;
  /** RocksDB writes: group commits. */
  writes: number;
  /** Times the write-ahead log was forced to the disk. */
  syncs: number;
  commits: number;
  /** Records dropped by compaction. */
  recordsCompacted: number;
  /** Batches deleted by retention. */
  batchesDeleted: number;
}

export function noMetrics(): EmbeddedMetrics {
  return {
    recordsAppended: 0,
    bytesAppended: 0,
    fetches: 0,
    bytesFetched: 0,
    writes: 0,
    syncs: 0,
    commits: 0,
    recordsCompacted: 0,
    batchesDeleted: 0,
  };
}
