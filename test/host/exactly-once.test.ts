import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { test } from "node:test";
import fc from "fast-check";
import type { Position } from "../../runtime/host/api.ts";
import { createProject, type RunningEngine, readTopic, startEngine } from "../fixtures/engine.ts";

/** A hash chain per key: one number that catches loss, doubling, reordering and stale state. */
const CHAIN = `
import { defineFunction } from "keyfold";
export default defineFunction<{ n: number; end?: boolean }, { chain: number; count: number }>({
  source: "events",
  sink: "chains",
  reduce(state = { chain: 7, count: 0 }, event, ctx) {
    ctx.emit("audit", { n: event.n });
    if (event.end) return null;
    return { chain: (Math.imul(state.chain, 31) + event.n) | 0, count: state.count + 1 };
  },
});
`;

interface Event {
  readonly key: string;
  readonly n: number;
  readonly end: boolean;
}

interface Chain {
  chain: number;
  count: number;
}

function fold(events: readonly Event[]): Map<string, Chain | null> {
  const states = new Map<string, Chain | null>();
  for (const { key, n, end } of events) {
    const state = states.get(key) ?? { chain: 7, count: 0 };
    states.set(key, end ? null : { chain: (Math.imul(state.chain, 31) + n) | 0, count: state.count + 1 });
  }
  return states;
}

const bodyOf = ({ n, end }: Event): Uint8Array => Buffer.from(JSON.stringify(end ? { n, end } : { n }));

async function feed(run: RunningEngine, events: readonly Event[], last: Map<number, { key: string; position: Position }>): Promise<void> {
  const positions = await run.api.append(
    "events",
    events.map((event) => ({ key: event.key, value: bodyOf(event) })),
  );
  for (const [i, position] of positions.entries()) last.set(position.partition, { key: events[i]?.key ?? "", position });
}

/** Waits until every partition's task has come past the last event. */
async function caughtUp(run: RunningEngine, last: ReadonlyMap<number, { key: string; position: Position }>): Promise<void> {
  for (const { key, position } of last.values()) await run.api.get("chain", key, { atLeast: position });
}

test("any cache size, commit interval, worker count and crash points: the fold, exactly once", { timeout: 240_000 }, async () => {
  const project = await createProject({ chain: CHAIN });
  const event = fc.record({
    key: fc.constantFrom("a", "b", "c", "dé", "e/f", "g", "h", "i", "j", "k"),
    n: fc.integer({ min: -1000, max: 1000 }),
    end: fc.nat({ max: 4 }).map((x) => x === 0),
  });
  const seed = Number(process.env["KEYFOLD_SEED"] ?? Date.now() % 1_000_000);
  try {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(event, { minLength: 1, maxLength: 60 }), { minLength: 1, maxLength: 5 }),
        fc.record({
          cache: fc.constantFrom(0, 2_000, 20_000, 10 << 20),
          interval: fc.constantFrom(1, 20, 100_000),
          threads: fc.integer({ min: 1, max: 3 }),
          guarantee: fc.constantFrom("exactly_once_v2" as const, "at_least_once" as const),
          crashes: fc.array(fc.boolean(), { minLength: 5, maxLength: 5 }),
          wipe: fc.boolean(),
        }),
        async (chunks, { cache, interval, threads, guarantee, crashes, wipe }) => {
          const config = await project.config({
            "cache.max.bytes.buffering": cache,
            "commit.interval.ms": interval,
            "num.stream.threads": threads,
            "processing.guarantee": guarantee,
            "state.dir": `${project.dir}/state`,
          });
          const last = new Map<number, { key: string; position: Position }>();
          let run = await startEngine(config);
          try {
            for (const [i, chunk] of chunks.entries()) {
              await feed(run, chunk, last);
              // At least once promises nothing of a state that was being committed while it died: only clean restarts there.
              if (!crashes[i]) continue;
              await (guarantee === "exactly_once_v2" ? run.crash() : run.stop());
              if (wipe) await rm(`${project.dir}/state/app-chain`, { recursive: true, force: true });
              run = await startEngine(config);
            }
            await caughtUp(run, last);
            const events = chunks.flat();
            const expected = fold(events);
            const { items } = await run.api.list("chain", { limit: 1_000 });
            const states = new Map(
              items.map((item) => JSON.parse(item) as { key: string; value: Chain }).map(({ key, value }) => [key, value]),
            );
            assert.deepEqual(states, new Map([...expected].filter(([, state]) => state !== null)));
            await run.stop();
            run = await startEngine(config);
            // A key that came and went between two commits is never heard of: an absent key is as good as a tombstone.
            const sink = new Map<string | null, unknown>();
            for (const { key, value } of await readTopic(run.log, "chains")) {
              if (value === null) sink.delete(key);
              else sink.set(key, value);
            }
            assert.deepEqual(sink, states);
            const audit = (await readTopic(run.log, "audit")).map(({ key, value }) => `${key} ${(value as { n: number }).n}`).sort();
            assert.deepEqual(audit, events.map(({ key, n }) => `${key} ${n}`).sort());
          } finally {
            await run.stop();
            await rm(`${project.dir}/state`, { recursive: true, force: true });
          }
        },
      ),
      { numRuns: Number(process.env["KEYFOLD_RUNS"] ?? 20), seed, endOnFailure: true },
    );
  } finally {
    await project.remove();
  }
});
