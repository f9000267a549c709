import assert from "node:assert/strict";
import { tailRecord } from "../../runtime/host/tail.ts";
import type { Log } from "../../runtime/log/log.ts";
import { decodeBatches } from "../../runtime/log/record-batch.ts";
import { until } from "../fixtures/until.ts";
import { next, type State } from "./functions.ts";
import { Load } from "./load.ts";
import { askAny, type PoolHost } from "./pool.ts";

interface Row {
  readonly place: string;
  readonly key: string;
  readonly value: unknown;
}

/** What is in a topic, read_committed, piece by piece. */
class Reader {
  readonly #log: Log;
  readonly topic: string;
  readonly #positions: number[];

  constructor(log: Log, topic: string, partitions: number) {
    this.#log = log;
    this.topic = topic;
    this.#positions = new Array<number>(partitions).fill(0);
  }

  /** What has come since the last call. */
  async news(): Promise<Row[]> {
    const rows: Row[] = [];
    const ends = await this.#log.offsets(this.#positions.map((_, partition) => ({ topic: this.topic, partition })));
    for (const [partition, { end }] of ends.entries()) {
      let position = this.#positions[partition] ?? 0;
      while (position < end) {
        const fetched = await this.#log.fetch({ topic: this.topic, partition, position, maxBytes: 1 << 20, maxWaitMs: 0 });
        const batch = decodeBatches(fetched.data, { from: position });
        for (let i = 0; i < batch.length; i++) {
          const { key, value, offset } = tailRecord(this.topic, partition, batch, i);
          rows.push({ place: `${partition}:${offset}`, key: key ?? "", value });
        }
        position = fetched.next;
      }
      this.#positions[partition] = position;
    }
    return rows;
  }
}

/** Judges what hosts have made of the events, against a plain fold over the source topic. The load must have stopped. */
export class Judge {
  readonly #log: Log;
  readonly #load: Load;
  readonly #hosts: readonly PoolHost[];
  readonly #source: Reader;
  readonly #audit: Reader;
  readonly #sink: Reader;
  readonly #changelog: Reader;
  readonly #partitions: number;
  /** State of each key, and by the id of an event the state after it. */
  readonly #states = new Map<string, State>();
  readonly #after = new Map<string, { readonly key: string; readonly place: string; readonly state: State }>();
  readonly #audited = new Map<string, string>();
  /** By key, the number of its last audit record, and of its last record in the sink. */
  readonly #counts = new Map<string, number>();
  readonly #sunk = new Map<string, State>();
  readonly #logged = new Map<string, State>();
  readonly doubled: string[] = [];

  constructor(log: Log, load: Load, hosts: readonly PoolHost[], partitions: number) {
    this.#log = log;
    this.#load = load;
    this.#hosts = hosts;
    this.#partitions = partitions;
    this.#source = new Reader(log, "events", partitions);
    this.#audit = new Reader(log, "audit", partitions);
    this.#sink = new Reader(log, "chains", partitions);
    this.#changelog = new Reader(log, "app-fire-state-changelog", partitions);
  }

  get events(): number {
    return this.#after.size;
  }

  /** Everything, once what is in has been processed. */
  async check(): Promise<void> {
    await this.#readSource();
    this.#closedForm();
    this.#acknowledged();
    await until("every event is committed", async () => {
      const all = Array.from({ length: this.#partitions }, (_, partition) => ({ topic: "events", partition }));
      const ends = await this.#log.offsets(all);
      return (await this.#log.committed("app-fire", all)).every((commit, i) => (commit?.offset ?? 0) === ends[i]?.end);
    });
    await this.#readAudit();
    await this.#readStates();
    assert.deepEqual(await this.#overHttp<State>("fire", Load.all), this.#states, "states over HTTP");
    await until("the ledger has everything", async () => {
      const ledger = await this.#overHttp<{ count: number; bad: number }>("ledger", [...this.#states.keys()]);
      for (const [key, { bad }] of ledger) assert.equal(bad, 0, `the ledger's events of ${key} are in order, each once`);
      return [...this.#states].every(([key, { count }]) => ledger.get(key)?.count === count);
    });
  }

  async #readSource(): Promise<void> {
    for (const { key, value, place } of await this.#source.news()) {
      const { id, n } = value as { id: string; n: number };
      const before = this.#after.get(id);
      if (before !== undefined) this.doubled.push(`source ${id} at ${before.place} and ${place}`);
      const state = next(this.#states.get(key), n);
      this.#states.set(key, state);
      this.#after.set(id, { key, place, state });
    }
    assert.deepEqual(this.doubled, []);
  }

  /** Keys of the closed form have got 1, 2, … N: count and sum are known without looking. */
  #closedForm(): void {
    for (const [key, n] of this.#load.fed) {
      const { count, sum } = this.#states.get(key) ?? { count: 0, sum: 0 };
      assert.deepEqual({ key, count, sum }, { key, count: n, sum: (n * (n + 1)) / 2 });
    }
  }

  /** Every acknowledged event is where its client was told, and every invoke was told the state right after its event. */
  #acknowledged(): void {
    for (const [id, { partition, offset, state }] of this.#load.told) {
      const found = this.#after.get(id);
      assert.equal(found?.place, `${partition}:${offset}`, `the place of ${id}`);
      if (state !== undefined) assert.deepEqual(state, found?.state, `the answer to the invoke ${id} at ${found?.place}`);
    }
  }

  /** One record for each event, in the order of its key, and no other. */
  async #readAudit(): Promise<void> {
    const wrong: string[] = [];
    await until(
      "the audit is visible",
      async () => {
        for (const { key, value, place } of await this.#audit.news()) {
          const { id, chain, count } = value as { id: string; chain: number; count: number };
          const before = this.#audited.get(id);
          const expected = this.#after.get(id);
          if (before !== undefined) this.doubled.push(`audit ${id} at ${before} and ${place}`);
          this.#audited.set(id, place);
          if (expected?.key !== key || expected.state.chain !== chain || expected.state.count !== count)
            wrong.push(`${key} ${id} at ${place}: chain ${chain}, count ${count} instead of ${JSON.stringify(expected)}`);
          if (count !== (this.#counts.get(key) ?? 0) + 1)
            wrong.push(`${key} ${id} at ${place}: count ${count} after ${this.#counts.get(key)}`);
          this.#counts.set(key, count);
        }
        return this.#audited.size >= this.#after.size;
      },
      10_000,
    ).catch(() => {});
    assert.deepEqual(this.doubled.slice(0, 10), [], `${this.doubled.length} doubled`);
    const lost = [...this.#after].filter(([id]) => !this.#audited.has(id));
    assert.deepEqual(lost.slice(0, 10), [], `${lost.length} lost`);
    assert.deepEqual(wrong.slice(0, 10), [], `${wrong.length} wrong`);
  }

  /** The last values of sink and changelog are the states, and no key ever went back. */
  async #readStates(): Promise<void> {
    for (const [reader, last] of [
      [this.#sink, this.#sunk],
      [this.#changelog, this.#logged],
    ] as const) {
      for (const { key, value, place } of await reader.news()) {
        const state = value as State;
        const before = last.get(key)?.count ?? 0;
        assert.ok(state.count > before, `${reader.topic} ${key} at ${place}: count ${state.count} after ${before}`);
        last.set(key, state);
      }
      assert.deepEqual(last, this.#states, `last values of ${reader.topic}`);
    }
  }

  async #overHttp<T>(fn: string, keys: readonly string[]): Promise<Map<string, T>> {
    const found = new Map<string, T>();
    for (const key of keys) {
      if (!this.#states.has(key)) continue;
      found.set(key, (await askAny<{ value: T }>(this.#hosts, `/v1/functions/${fn}/keys/${key}`)).value);
    }
    return found;
  }
}
