import { KeyfoldError } from "../errors.ts";
import type { TaskStore } from "../state/store.ts";

const MAX_ROUNDS = 1_000;

/** Caches through the layers until none is dirty: a flush of one store may fill another downstream. */
export function flushStores(stores: ReadonlyMap<string, TaskStore>, beforeRound: () => void, task: string): void {
  for (let round = 0; round < MAX_ROUNDS; round++) {
    let dirty = false;
    beforeRound();
    for (const store of stores.values()) {
      if (!store.dirty) continue;
      dirty = true;
      store.flush();
    }
    if (!dirty) return;
  }
  throw new KeyfoldError("topology-invalid", `task ${task}: stores keep filling each other while they are flushed`);
}
