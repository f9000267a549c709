/** One entry of a function's state, as its routes see it. */
export interface StateEntry<State> {
  readonly key: string;
  readonly value: State;
  /** Event time of the last change, epoch ms. */
  readonly timestamp: number;
}

/**
 * A read-only view of the function's own state, over all partitions and hosts: `c.env.state` in the Hono app that a file
 * exports as `routes`.
 *
 * @example
 * export const routes = new Hono<{ Bindings: { state: StateView<Cart> } }>()
 *   .get("/:user", async (c) => c.json((await c.env.state.get(c.req.param("user")))?.value ?? null));
 */
export interface StateView<State = unknown> {
  /** The entry of a key, or undefined. */
  get(key: string): Promise<StateEntry<State> | undefined>;
  /** Entries in key order, `from` included and `to` not; `limit` defaults to 100. */
  list(options?: {
    readonly prefix?: string;
    readonly from?: string;
    readonly to?: string;
    readonly limit?: number;
  }): Promise<StateEntry<State>[]>;
}
