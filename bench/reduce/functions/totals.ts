import { defineFunction } from "keyfold";

interface Totals {
  readonly count: number;
  readonly sum: number;
  readonly lastAt: number;
}

/** The reducer of the comparison with Kafka Streams and others: count, sum and last time per key. */
export default defineFunction<{ amount: number; at: number }, Totals>({
  source: "events",
  reduce: (state = { count: 0, sum: 0, lastAt: 0 }, { amount, at }) => ({ count: state.count + 1, sum: state.sum + amount, lastAt: at }),
});
