/** Counters of one task since it was created; plain numbers, sent to the main thread as they are. */
export class TaskMetrics {
  processed = 0;
  failures = 0;
  retries = 0;
  deadLettered = 0;
  punctuations = 0;
  commits = 0;
  rollbacks = 0;
  /** Kafka Streams' dropped-records, by reason. */
  readonly dropped: Record<string, number> = {};

  drop(reason: string): void {
    this.dropped[reason] = (this.dropped[reason] ?? 0) + 1;
  }

  get droppedTotal(): number {
    let sum = 0;
    for (const count of Object.values(this.dropped)) sum += count;
    return sum;
  }
}
