import { defineFunction } from "keyfold";

interface Totals {
  readonly count: number;
  readonly sum: number;
  readonly lastAt: number;
}

// The comparison's clock: a line for each of the first records.
let marks = Number(process.env["MARK_AT"] ?? 1);

/** The reducer of the comparison: count, sum and last time of each key. */
export default defineFunction<{ amount: number; at: number }, Totals>({
  source: "input",
  reduce(state = { count: 0, sum: 0, lastAt: 0 }, { amount, at }) {
    if (marks > 0) {
      marks--;
      console.log("BENCH record");
    }
    return { count: state.count + 1, sum: state.sum + amount, lastAt: at };
  },
});
