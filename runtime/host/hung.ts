import type { Glimpse } from "../worker/cells.ts";

/** What a worker may have hung in: its cells know sync code only. */
export function whatHung({ busy }: Glimpse, routes: readonly string[]): string {
  if (busy) return "a reducer";
  return routes.length === 0 ? "an async reducer, after an await," : `a function's own route (${routes.join(", ")})`;
}

/** The async call that the worker must have hung in, if there was but one and no route. */
export function lastCall(last: Glimpse, routes: readonly string[]): Glimpse {
  return routes.length === 0 && last.held === 1 && last.unsettled === 1 ? { ...last, ...last.call, busy: true } : last;
}
