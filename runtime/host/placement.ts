import type { Manifest } from "../bundle/manifest.ts";

/** A task to be placed: one subtopology of one function over one partition. */
export interface PlannedTask {
  readonly function: string;
  readonly subtopology: number;
  readonly partition: number;
}

export function taskId({ subtopology, partition }: PlannedTask): string {
  return `${subtopology}_${partition}`;
}

/** All tasks of a function, given its topics' partition counts: as many as its widest source has partitions. Pure. */
export function tasksOf(manifest: Manifest, partitions: ReadonlyMap<string, number>): PlannedTask[] {
  const tasks: PlannedTask[] = [];
  for (const subtopology of manifest.topology.subtopologies) {
    const counts = subtopology.sources.filter((source) => !source.global).map((source) => partitions.get(source.topic) ?? 0);
    const count = Math.max(0, ...counts);
    for (let partition = 0; partition < count; partition++) tasks.push({ function: manifest.name, subtopology: subtopology.id, partition });
  }
  return tasks;
}

/** A function whose stores are to be counted. */
export interface Counted {
  readonly manifest: Manifest;
  readonly error: unknown;
  /** It has been told which tasks are its. */
  readonly assigned: boolean;
  has(task: string): boolean;
}

/**
 * How many stores the host will have: those of its tasks, and of functions that wait to be told theirs the same part. A store's share
 * of the memory is set when it opens, so that those which open first must leave some to the others. Pure.
 */
export function expectedStores(functions: Iterable<Counted>, partitions: ReadonlyMap<string, number>): number {
  let mine = 0;
  let known = 0;
  let waiting = 0;
  for (const fn of functions) {
    if (fn.error !== undefined) continue;
    for (const task of tasksOf(fn.manifest, partitions)) {
      const stores = fn.manifest.topology.subtopologies.find(({ id }) => id === task.subtopology)?.stores.length ?? 0;
      if (!fn.assigned) waiting += stores;
      else {
        known += stores;
        if (fn.has(taskId(task))) mine += stores;
      }
    }
  }
  return mine + Math.round(waiting * (known === 0 ? 1 : mine / known));
}

/** Spreads tasks over workers: each goes where its function has the fewest tasks, then where there are the fewest of all. Pure. */
export function place(tasks: readonly PlannedTask[], workers: number, already: readonly (readonly PlannedTask[])[] = []): number[] {
  const total = Array.from({ length: workers }, (_, w) => already[w]?.length ?? 0);
  const perFunction = Array.from({ length: workers }, (_, w) => {
    const counts = new Map<string, number>();
    for (const task of already[w] ?? []) counts.set(task.function, (counts.get(task.function) ?? 0) + 1);
    return counts;
  });
  return tasks.map((task) => {
    let best = 0;
    for (let w = 1; w < workers; w++) {
      const mine = perFunction[w]?.get(task.function) ?? 0;
      const least = perFunction[best]?.get(task.function) ?? 0;
      if (mine < least || (mine === least && (total[w] ?? 0) < (total[best] ?? 0))) best = w;
    }
    total[best] = (total[best] ?? 0) + 1;
    perFunction[best]?.set(task.function, (perFunction[best]?.get(task.function) ?? 0) + 1);
    return best;
  });
}
