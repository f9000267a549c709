import assert from "node:assert/strict";
import { openEmbeddedLog } from "../../runtime/log/embedded/log.ts";
import type { Log } from "../../runtime/log/log.ts";
import { readTopic } from "../fixtures/engine.ts";
import type { Load } from "./load.ts";

export interface Chain {
  readonly chain: number;
  readonly count: number;
}

interface Event {
  readonly id: string;
  readonly n: number;
  readonly end?: boolean;
}

/** What a host's log must hold after everything that was done to it, judged against a plain fold over its source topic. */
export interface Verdict {
  readonly events: number;
  readonly lost: number;
  readonly doubled: number;
  /** States by key that the fold comes to. */
  readonly states: Map<string, Chain>;
  /** Events of each key. */
  readonly counts: Map<string, number>;
}

/** Reads the log of a stopped host. */
export async function judge(logDir: string, load: Load, group: string): Promise<Verdict> {
  const log = await openEmbeddedLog({ dir: logDir, flush: "os" });
  try {
    return await judgeLog(log, load, group);
  } finally {
    await log.close();
  }
}

async function judgeLog(log: Log, load: Load, group: string): Promise<Verdict> {
  const events = await readTopic(log, "events");
  const places = new Map<string, string>();
  const after = new Map<string, Chain | null>();
  const audit = new Map<string, string>();
  const states = new Map<string, Chain>();
  const counts = new Map<string, number>();
  let doubled = 0;
  for (const { key, value, partition, offset } of events) {
    const { id, n, end } = value as Event;
    const sent = load.sent.get(id);
    assert.ok(sent, `nobody sent ${id}, at ${partition}:${offset}`);
    assert.deepEqual({ key, n, end: end ?? false }, { key: sent.key, n: sent.n, end: sent.end });
    if (places.has(id)) doubled++;
    places.set(id, `${partition}:${offset}`);
    const before = states.get(sent.key) ?? { chain: 7, count: 0 };
    const next = { chain: (Math.imul(before.chain, 31) + n) | 0, count: before.count + 1 };
    if (end) states.delete(sent.key);
    else states.set(sent.key, next);
    after.set(id, end ? null : next);
    audit.set(id, JSON.stringify({ id, ...next, offset }));
    counts.set(sent.key, (counts.get(sent.key) ?? 0) + 1);
  }
  const lost = judgeAnswers(load, places, after);
  doubled += await judgeAudit(log, audit);
  await judgeSink(log, states);
  await judgeOffsets(log, group);
  return { events: events.length, lost, doubled, states, counts };
}

/** Every acknowledged event is where its client was told, and every invoke was told the state right after its event. */
function judgeAnswers(load: Load, places: ReadonlyMap<string, string>, after: ReadonlyMap<string, Chain | null>): number {
  let lost = 0;
  for (const [id, { partition, offset, answer }] of load.acknowledged) {
    const place = places.get(id);
    if (place === undefined) lost++;
    else {
      if (offset !== undefined) assert.equal(`${partition}:${offset}`, place, `the place of ${id}`);
      if (answer !== undefined) assert.deepEqual(answer, after.get(id), `the answer to the invoke ${id} at ${place}`);
    }
  }
  return lost;
}

/** What was emitted: for each event one record, the same set. Returns how many came more than once. */
async function judgeAudit(log: Log, expected: ReadonlyMap<string, string>): Promise<number> {
  const seen = new Set<string>();
  let doubled = 0;
  for (const { value } of await readTopic(log, "audit")) {
    const { id } = value as { id: string };
    if (seen.has(id)) doubled++;
    seen.add(id);
    assert.equal(JSON.stringify(value), expected.get(id));
  }
  assert.equal(seen.size, expected.size, "every event has its audit record");
  return doubled;
}

/** The last value of each key in the sink. */
async function judgeSink(log: Log, states: ReadonlyMap<string, Chain>): Promise<void> {
  const last = new Map<string | null, unknown>();
  for (const { key, value } of await readTopic(log, "chains")) {
    if (value === null) last.delete(key);
    else last.set(key, value);
  }
  assert.deepEqual(last, new Map(states));
}

/** After a clean stop everything is committed. */
async function judgeOffsets(log: Log, group: string): Promise<void> {
  const { partitions = 0 } = (await log.describe("events")) ?? {};
  const all = Array.from({ length: partitions }, (_, partition) => ({ topic: "events", partition }));
  const ends = (await log.offsets(all)).map(({ end }) => end);
  assert.deepEqual(
    (await log.committed(group, all)).map((commit) => commit?.offset ?? 0),
    ends,
  );
}
