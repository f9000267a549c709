/** A task as membership sees it: what is given to one member as a whole. */
export interface AssignableTask {
  /** `<subtopology>_<partition>` */
  readonly id: string;
}

export interface AssignableMember {
  readonly id: string;
  /** How much it can take compared with the others: its worker threads. At least 1. */
  readonly capacity: number;
  /** Tasks that it has had, and whose state it therefore has on disk. */
  readonly owned: readonly string[];
}

/**
 * Divides tasks over members: in proportion to their capacity, as many as possible where they were before, the rest where there is
 * most room. Pure, and the same for the same input in any order.
 */
export function assignTasks(tasks: readonly AssignableTask[], members: readonly AssignableMember[]): Map<string, string[]> {
  const byId = [...members].sort((a, b) => (a.id < b.id ? -1 : 1));
  const assigned = new Map<string, string[]>(byId.map(({ id }) => [id, []]));
  if (byId.length === 0) return assigned;
  const ids = [...new Set(tasks.map(({ id }) => id))].sort(byTaskId);
  const quotas = shares(ids, byId);
  const left = new Set(ids);
  for (const { id, owned } of byId) {
    const mine = assigned.get(id) ?? [];
    const kept = new Set(owned);
    for (const task of ids) {
      if (mine.length >= (quotas.get(id) ?? 0)) break;
      if (!kept.has(task) || !left.delete(task)) continue;
      mine.push(task);
    }
  }
  for (const task of left) {
    let best: string | undefined;
    let room = 0;
    for (const { id } of byId) {
      const free = (quotas.get(id) ?? 0) - (assigned.get(id)?.length ?? 0);
      if (free > room) [best, room] = [id, free];
    }
    if (best !== undefined) assigned.get(best)?.push(task);
  }
  for (const mine of assigned.values()) mine.sort(byTaskId);
  return assigned;
}

/** How many tasks each member gets: its share by capacity; what is left over, to those who have that one more already. */
function shares(ids: readonly string[], members: readonly AssignableMember[]): Map<string, number> {
  const total = members.reduce((sum, { capacity }) => sum + capacity, 0);
  const exact = members.map(({ id, capacity, owned }) => {
    const whole = Math.floor((ids.length * capacity) / total);
    const kept = new Set(owned);
    return { id, whole, remainder: (ids.length * capacity) % total, hasMore: ids.filter((task) => kept.has(task)).length > whole };
  });
  const quotas = new Map(exact.map(({ id, whole }) => [id, whole]));
  let rest = ids.length - exact.reduce((sum, { whole }) => sum + whole, 0);
  exact.sort((a, b) => b.remainder - a.remainder || Number(b.hasMore) - Number(a.hasMore) || (a.id < b.id ? -1 : 1));
  for (const { id, whole } of exact) {
    if (rest-- <= 0) break;
    quotas.set(id, whole + 1);
  }
  return quotas;
}

/** `1_2` before `1_10`. */
function byTaskId(a: string, b: string): number {
  const [aSub = 0, aPart = 0] = a.split("_").map(Number);
  const [bSub = 0, bPart = 0] = b.split("_").map(Number);
  return aSub - bSub || aPart - bPart || (a < b ? -1 : a > b ? 1 : 0);
}
