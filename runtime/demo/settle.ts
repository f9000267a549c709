import { setTimeout as pause } from "node:timers/promises";
import { KeyfoldError } from "../errors.ts";
import type { HostApi } from "../host/api.ts";

const POLL_MS = 50;

export interface SettleOptions {
  readonly signal?: AbortSignal;
  /** Records still to be processed, over all functions; grows while one function feeds another. */
  readonly onProgress?: (behind: number) => void;
}

/**
 * Resolves when every function has committed all there is in its sources. Positions are read before the ends: a function
 * whose committed position is the end has its outputs in the log by then, so that the ends of the functions it feeds count them.
 */
export async function settled(api: HostApi, { signal, onProgress = () => {} }: SettleOptions = {}): Promise<void> {
  while (signal?.aborted !== true) {
    const unhealthy = api.unhealthy();
    if (unhealthy.length > 0) throw new KeyfoldError("task-failed", unhealthy.join("; "));
    const committed = new Map<string, number>();
    for (const task of await api.tasks())
      for (const [place, position] of Object.entries(task.committed)) committed.set(`${task.function} ${place}`, position);
    const ends = new Map<string, number>(
      (await api.topics()).flatMap(({ name, offsets }) => offsets.map(({ partition, end }) => [`${name}[${partition}]`, end] as const)),
    );
    let behind = 0;
    for (const [task, position] of committed) behind += Math.max(0, (ends.get(task.slice(task.indexOf(" ") + 1)) ?? 0) - position);
    onProgress(behind);
    if (behind === 0 && api.notReady().length === 0) return;
    await pause(POLL_MS);
  }
}
