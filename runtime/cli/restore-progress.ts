import type { HostOptions } from "../host/host.ts";
import type { Output } from "./output.ts";

type RestoreEvent = Parameters<NonNullable<HostOptions["onRestore"]>>[0];

/** Shows how far stores are from being restored, over all of them. */
export function restoreProgress(output: Output): (event: RestoreEvent) => void {
  const open = new Map<string, { position: number; start: number; end: number }>();
  return (event) => {
    const store = `${event.function} ${event.task} ${event.store}`;
    if (event.kind === "start") open.set(store, { position: event.startingOffset, start: event.startingOffset, end: event.endingOffset });
    const known = open.get(store);
    if (known === undefined) return;
    if (event.kind === "batch") known.position = event.batchEndOffset;
    if (event.kind === "end") known.position = known.end;
    const stores = [...open.values()];
    const total = stores.reduce((sum, { start, end }) => sum + end - start, 0);
    const done = stores.reduce((sum, { start, position }) => sum + position - start, 0);
    if (total > 0) output.progress(`restoring ${open.size} stores: ${Math.floor((100 * done) / total)} %`);
  };
}
