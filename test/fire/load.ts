import { setTimeout as pause } from "node:timers/promises";
import type { Log } from "../../runtime/log/log.ts";
import type { Random } from "../fixtures/random.ts";
import type { State } from "./functions.ts";
import { outBatchOf } from "./out-batch.ts";
import type { PoolHost } from "./pool.ts";

/** Between two requests of one client, ms: the hosts are to be hurt, not drowned. */
const PACE_MS = 15;

/** What a client was told about one event of its. */
export interface Told {
  readonly partition: number;
  readonly offset: number;
  /** The state after it, where it was invoked. */
  readonly state?: State;
}

const keys = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${prefix}${i}`);

/**
 * Everything that clients send. Keys that begin with `c` get 1, 2, 3, … by a producer that never gives up, so that what they come to is
 * known in closed form; the others come over HTTP, by appends and by invokes, and what is acknowledged there must not be lost.
 */
export class Load {
  static readonly closed = keys("c", 24);
  static readonly posted = keys("p", 12);
  static readonly invoked = keys("i", 8);
  static readonly all = [...Load.closed, ...Load.posted, ...Load.invoked];
  /** Number of events that each key of the closed form has got. */
  readonly fed = new Map<string, number>();
  readonly told = new Map<string, Told>();
  readonly outcomes = { fed: 0, acknowledged: 0, refused: 0, cutOff: 0 };
  readonly #log: Log;
  readonly #hosts: readonly PoolHost[];
  readonly #random: Random;
  #next = 0;
  #stopped = true;
  #clients: Promise<void>[] = [];

  constructor(log: Log, hosts: readonly PoolHost[], random: Random) {
    this.#log = log;
    this.#hosts = hosts;
    this.#random = random;
  }

  start(): void {
    this.#stopped = false;
    const every = async (work: () => Promise<void>): Promise<void> => {
      for (; !this.#stopped; await pause(PACE_MS)) await work();
    };
    this.#clients = [
      every(() => this.#feed()),
      every(() => this.#post()),
      every(() => this.#invoke("committed")),
      every(() => this.#invoke("processed")),
    ];
    // What goes wrong in one is told by stop().
    for (const client of this.#clients) client.catch(() => {});
  }

  /** Resolves when every request has ended, well or not. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#clients);
  }

  async #feed(): Promise<void> {
    const events = Array.from({ length: 20 }, () => {
      const key = this.#random.pick(Load.closed);
      const n = (this.fed.get(key) ?? 0) + 1;
      this.fed.set(key, n);
      return { key, value: JSON.stringify({ id: `${key}/${n}`, n }) };
    });
    await this.#log.append(outBatchOf("events", 4, events));
    this.outcomes.fed += events.length;
  }

  async #post(): Promise<void> {
    const events = Array.from({ length: 1 + this.#random.below(10) }, () => ({
      key: this.#random.pick(Load.posted),
      value: { id: `e${this.#next++}`, n: this.#random.below(2_000_001) - 1_000_000 },
    }));
    const answer = await this.#request<{ positions: Told[] }>("/v1/topics/events/records", events);
    for (const [i, position] of answer?.positions.entries() ?? []) this.told.set(events[i]?.value.id ?? "", position);
  }

  async #invoke(wait: string): Promise<void> {
    const key = this.#random.pick(Load.invoked);
    const event = { id: `e${this.#next++}`, n: this.#random.below(2_000_001) - 1_000_000 };
    const answer = await this.#request<Told & { value: State }>(`/v1/functions/fire/keys/${key}?wait=${wait}`, event);
    if (answer !== undefined) this.told.set(event.id, { partition: answer.partition, offset: answer.offset, state: answer.value });
  }

  /** Undefined: it may have happened, or not. */
  async #request<T>(path: string, body: unknown): Promise<T | undefined> {
    const { url } = this.#random.pick(this.#hosts);
    if (url === undefined) return undefined;
    let response: Response;
    let text: string;
    try {
      response = await fetch(`${url}${path}`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(8_000),
      });
      text = await response.text();
    } catch {
      this.outcomes.cutOff++;
      return undefined;
    }
    if (!response.ok) {
      this.outcomes.refused++;
      if (response.status !== 503 && response.status !== 504) throw new Error(`${path} was answered with ${response.status}: ${text}`);
      return undefined;
    }
    this.outcomes.acknowledged++;
    return JSON.parse(text) as T;
  }
}
