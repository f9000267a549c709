/** A hash chain per key, and sums: loss, doubling, reordering and stale state all show. Each event leaves one record in the audit. */
export const FIRE = `
import { defineFunction } from "keyfold";
export default defineFunction<{ id: string; n: number }, { chain: number; count: number; sum: number }>({
  source: "events",
  sink: "chains",
  reduce(state = { chain: 7, count: 0, sum: 0 }, { id, n }, ctx) {
    const next = { chain: (Math.imul(state.chain, 31) + n) | 0, count: state.count + 1, sum: state.sum + n };
    ctx.emit("audit", { id, chain: next.chain, count: next.count });
    return next;
  },
});
`;

/** Fed by the audit: each record of a key must be the one after the one before. */
export const LEDGER = `
import { defineFunction } from "keyfold";
export default defineFunction<{ id: string; chain: number; count: number }, { count: number; bad: number }>({
  source: "audit",
  reduce: (state = { count: 0, bad: 0 }, event) => ({ count: event.count, bad: state.bad + (event.count === state.count + 1 ? 0 : 1) }),
});
`;

export interface State {
  readonly chain: number;
  readonly count: number;
  readonly sum: number;
}

export function next(state: State | undefined, n: number): State {
  const { chain, count, sum } = state ?? { chain: 7, count: 0, sum: 0 };
  return { chain: (Math.imul(chain, 31) + n) | 0, count: count + 1, sum: sum + n };
}
