/** Seed of property tests: `FC_SEED`, or a new one each time; fast-check prints it with a failure. */
export function seed(): number {
  return process.env["FC_SEED"] === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(process.env["FC_SEED"]);
}
