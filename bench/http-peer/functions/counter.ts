import { defineFunction } from "keyfold";

interface Counter {
  readonly count: number;
  readonly sum: number;
}

/** What the other systems of the comparison do: count the requests of a key and sum their amounts. */
export default defineFunction<{ amount: number }, Counter>({
  source: "amounts",
  reduce: (state = { count: 0, sum: 0 }, { amount }) => ({ count: state.count + 1, sum: state.sum + amount }),
});
