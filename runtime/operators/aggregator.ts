import type { AggregateFns } from "../define/graph.ts";
import { orNull } from "./stateless.ts";

/** Marks "leave the state as it is". */
export const UNCHANGED: unique symbol = Symbol("unchanged");

/** An aggregation's functions with the rules for missing states. States and results are null where there is none. */
export class Aggregator {
  readonly #fns: AggregateFns;

  constructor(fns: AggregateFns) {
    this.#fns = fns;
  }

  /** The state with a value added; `state` undefined: there is none. */
  add(state: unknown, value: unknown, key: string): unknown {
    const { first, init, add } = this.#fns;
    if (state === undefined) {
      if (first === "value") return orNull(value);
      return result(add(init === undefined ? undefined : init(), value, key));
    }
    return result(add(state, value, key));
  }

  subtract(state: unknown, value: unknown, key: string): unknown {
    const { subtract } = this.#fns;
    return subtract === undefined ? state : result(subtract(state, value, key));
  }

  /** A session's starting point, before any session is merged into it; undefined: no state. */
  initial(): unknown {
    const { first, init } = this.#fns;
    return first === "value" || init === undefined ? undefined : init();
  }

  /** A session's state with that of an earlier one merged in; a missing side gives the other. */
  merge(state: unknown, session: unknown, key: string): unknown {
    if (state === undefined || (state === null && this.#fns.first === "value")) return session;
    return orNull(this.#fns.merge?.(state, session, key));
  }

  /** Adds to a session's merged state, which is already initial where nothing was merged. */
  addMerged(state: unknown, value: unknown, key: string): unknown {
    if ((state === undefined || state === null) && this.#fns.first === "value") return orNull(value);
    return result(this.#fns.add(state, value, key));
  }
}

function result(next: unknown): unknown {
  return next === undefined ? UNCHANGED : next;
}
