/** Counters of one store, since it was opened. Plain numbers: whoever reports them reads them when asked. */
export class StoreMetrics {
  gets = 0;
  /** Gets that went past the record cache. */
  misses = 0;
  /** Keys read ahead, many at a time. */
  prefetched = 0;
  puts = 0;
  deletes = 0;
  ranges = 0;
  flushes = 0;
  commits = 0;
  changelogRecords = 0;
  changelogBytes = 0;
  restoredRecords = 0;
  rollbacks = 0;
}
