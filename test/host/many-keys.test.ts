import assert from "node:assert/strict";
import { test } from "node:test";
import { createProject, type RunningEngine, startEngine } from "../fixtures/engine.ts";
import { printedSeed, Random } from "../fixtures/random.ts";

/** Every record with its number: a state is the sum and the last one, so that one that is lost, doubled or out of turn shows. */
const reducer = (asynchronous: boolean): string => `
import { defineFunction } from "keyfold";
type State = { n: number; sum: number; last: number; };
export default defineFunction<{ n: number; kind?: string }, State>({
  source: "events",
  onError: "dead-letter",
  ${asynchronous ? "async " : ""}reduce(state = { n: 0, sum: 0, last: -1 }, { n, kind }) {
    ${asynchronous ? "await new Promise((resolve) => setImmediate(resolve));" : ""}
    if (kind === "throws") throw new Error("as it was told");
    if (kind === "gone") return null;
    if (n <= state.last) throw new Error("out of turn");
    const next: Record<string, unknown> = { n: state.n + 1, sum: state.sum + n, last: n };
    if (kind === "unstorable") next.self = next;
    return next as never;
  },
});
`;

interface Expected {
  n: number;
  sum: number;
  last: number;
}

for (const guarantee of ["at_least_once", "exactly_once_v2"] as const) {
  test(`states of many keys with a cache that is always full are those of each record once, in its turn, ${guarantee}`, {
    timeout: 120_000,
  }, async () => {
    const random = new Random(printedSeed(`many keys, ${guarantee}`));
    const project = await createProject({ sync: reducer(false), async: reducer(true) });
    let run: RunningEngine | undefined;
    try {
      const config = await project.config({
        "cache.max.bytes.buffering": 40_000,
        "state.memory.bytes": 8 * 1024 * 1024,
        "commit.interval.ms": 30,
        "num.stream.threads": 2,
        defaultPartitions: 2,
        "processing.guarantee": guarantee,
        "state.dir": `${project.dir}/state`,
      });
      const expected = new Map<string, Expected>();
      let n = 0;
      const record = (): { key: string; value: Uint8Array; timestamp: number } => {
        // Some keys come all the time, most hardly ever, some are not ASCII.
        const any = random.chance(0.3) ? `often-${random.below(20)}` : `${random.chance(0.1) ? "ké" : "k"}-${random.below(3_000)}`;
        const kind = random.chance(0.02) ? "gone" : random.chance(0.001) ? random.pick(["throws", "unstorable"] as const) : undefined;
        // Of a key of its own: a state that cannot be stored does no harm when another takes its place before the commit.
        const key = kind === "unstorable" ? `odd-${n}` : any;
        const { n: count, sum } = expected.get(key) ?? { n: 0, sum: 0 };
        n++;
        if (kind === "gone") expected.delete(key);
        else if (kind === undefined) expected.set(key, { n: count + 1, sum: sum + n, last: n });
        return { key, value: Buffer.from(JSON.stringify({ n, ...(kind === undefined ? {} : { kind }) })), timestamp: n };
      };
      for (let round = 0; round < 3; round++) {
        run = await startEngine(config);
        for (let batch = 0; batch < 3; batch++) {
          await run.api.append("events", Array.from({ length: 3_000 }, record));
        }
        // The next one finds some of it done, and some of it not.
        if (round < 2) await (round === 0 ? run.crash() : run.stop());
      }
      assert.ok(run);
      for (const fn of ["sync", "async"]) {
        // Once the last event of each partition is committed, nothing before it is taken back.
        for (let partition = 0, i = 0; partition < 2; i++) {
          const key = `end-${i}`;
          if (run.api.metadata(fn, key).partition !== partition) continue;
          await run.api.invoke(fn, key, Buffer.from(JSON.stringify({ n: ++n })), "committed");
          partition++;
        }
        const found = new Map<string, Expected>();
        let cursor: string | undefined;
        do {
          const page = await run.api.list(fn, { limit: 1_000, ...(cursor === undefined ? {} : { cursor }) });
          for (const item of page.items) {
            const { key, value } = JSON.parse(item) as { key: string; value: Expected };
            if (!key.startsWith("end-")) found.set(key, value);
          }
          cursor = page.cursor ?? undefined;
        } while (cursor !== undefined);
        for (const key of new Set([...found.keys(), ...expected.keys()]))
          assert.deepEqual(found.get(key), expected.get(key), `${fn} ${key}`);
      }
    } finally {
      await run?.stop();
      await project.remove();
    }
  });
}
