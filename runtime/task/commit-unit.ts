import type { OffsetCommit, OutBatch } from "../log/log.ts";
import type { TaskStore } from "../state/store.ts";
import { changelogTopic } from "../topology/names.ts";
import type { TaskInput } from "./input.ts";

/** What one commit of a task holds: which offsets, and which stores logged how much. Made when it is sent, applied when the log has it. */
export class CommitUnit {
  readonly offsets: readonly OffsetCommit[];
  readonly streamTime: number;
  readonly #logged: { readonly store: TaskStore; readonly count: number }[] = [];

  constructor(inputs: readonly TaskInput[], streamTime: number) {
    this.streamTime = streamTime;
    this.offsets = inputs
      .filter((input) => !input.source.global && input.position !== input.committed)
      .map(({ topic, partition, position }) => ({ topic, partition, offset: position, metadata: String(streamTime) }));
  }

  /** Takes what the stores have logged since the last commit; these batches come first in the request. */
  changelogs(stores: Iterable<TaskStore>, application: string, partition: number): OutBatch[] {
    const batches: OutBatch[] = [];
    for (const store of stores) {
      const changes = store.takeChangelog();
      if (changes === undefined) continue;
      this.#logged.push({ store, count: changes.count });
      batches.push({ topic: changelogTopic(application, store.name), partition, data: changes.data, count: changes.count });
    }
    return batches;
  }

  /** The stores may hold it now. `bases`: offset of the first record of each batch. */
  apply(bases: readonly number[], inputs: readonly TaskInput[], stores: Iterable<TaskStore>): void {
    const logged = new Set<TaskStore>();
    this.#logged.forEach(({ store, count }, i) => {
      const base = bases[i];
      store.committed(base === undefined ? undefined : base + count);
      logged.add(store);
    });
    for (const store of stores) if (!logged.has(store)) store.committed(undefined);
    for (const { topic, partition, offset } of this.offsets) {
      for (const input of inputs) if (input.topic === topic && input.partition === partition) input.committed = offset;
    }
  }
}
