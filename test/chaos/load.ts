import type { Random } from "../fixtures/random.ts";

export interface Sent {
  readonly id: string;
  readonly key: string;
  readonly n: number;
  readonly end: boolean;
}

/** What a client was told about one event of its. */
export interface Acknowledged {
  readonly partition: number;
  /** Undefined: only that it is in (NDJSON tells the last offset of a partition). */
  readonly offset: number | undefined;
  /** The state after it, where it was invoked. */
  readonly answer?: { readonly chain: number; readonly count: number } | null;
}

const KEYS = [..."abcdefghij", "dé", "e/f ?", "日本", "t1", "t2", "t3"];

/** Everything clients did to a host, over all its lives. */
export class Load {
  readonly sent = new Map<string, Sent>();
  readonly acknowledged = new Map<string, Acknowledged>();
  /** Requests by how they ended. */
  readonly outcomes = { acknowledged: 0, refused: 0, cutOff: 0 };
  readonly #random: Random;
  #next = 0;
  #url = "";
  #stopped = true;
  #clients: Promise<void>[] = [];

  constructor(random: Random) {
    this.#random = random;
  }

  start(url: string): void {
    this.#url = url;
    this.#stopped = false;
    this.#clients = [
      this.#client(() => this.#array()),
      this.#client(() => this.#lines()),
      ...Array.from({ length: 6 }, (_, i) => this.#client(() => this.#invoke(i % 3 === 0 ? "processed" : "committed"))),
    ];
    // What goes wrong in one is told by stop().
    for (const client of this.#clients) client.catch(() => {});
  }

  /** After the host has died or been told to stop: its clients end with their requests. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#clients);
  }

  async #client(request: () => Promise<boolean>): Promise<void> {
    // A refused connection ends a client: the host is gone.
    while (!this.#stopped && (await request()));
  }

  #event(): Sent {
    const key = this.#random.pick(KEYS);
    const event = {
      id: `e${this.#next++}`,
      key,
      n: this.#random.below(2_000_001) - 1_000_000,
      end: key.startsWith("t") && this.#random.chance(0.3),
    };
    this.sent.set(event.id, event);
    return event;
  }

  #events(most: number): Sent[] {
    return Array.from({ length: 1 + this.#random.below(most) }, () => this.#event());
  }

  async #array(): Promise<boolean> {
    const events = this.#events(60);
    const body = JSON.stringify(events.map(recordOf));
    return this.#post("/v1/topics/events/records", "application/json", body, (answer) => {
      const { positions } = answer as { positions: { partition: number; offset: number }[] };
      for (const [i, { id }] of events.entries()) this.acknowledged.set(id, positions[i] ?? { partition: -1, offset: -1 });
    });
  }

  async #lines(): Promise<boolean> {
    const events = this.#events(200);
    const body = events.map((event) => `${JSON.stringify(recordOf(event))}\n`).join("");
    return this.#post("/v1/topics/events/records", "application/x-ndjson", body, (answer) => {
      const { records } = answer as { records: number };
      if (records !== events.length) throw new Error(`${events.length} lines were sent and ${records} acknowledged`);
      for (const { id } of events) this.acknowledged.set(id, { partition: -1, offset: undefined });
    });
  }

  async #invoke(wait: "processed" | "committed"): Promise<boolean> {
    const event = this.#event();
    const path = `/v1/functions/chain/keys/${encodeURIComponent(event.key)}?wait=${wait}`;
    return this.#post(path, "application/json", JSON.stringify(eventOf(event)), (answer) => {
      const { partition, offset, value } = answer as { partition: number; offset: number; value: { chain: number; count: number } | null };
      this.acknowledged.set(event.id, { partition, offset, answer: value });
    });
  }

  /** false: nobody is there. */
  async #post(path: string, type: string, body: string, acknowledged: (answer: unknown) => void): Promise<boolean> {
    let answer: unknown;
    try {
      const response = await fetch(`${this.#url}${path}`, {
        method: "POST",
        headers: { "content-type": type },
        body,
        signal: AbortSignal.timeout(40_000),
      });
      const text = await response.text();
      if (!response.ok) {
        this.outcomes.refused++;
        if (response.status !== 503) throw new Refused(`${path} was answered with ${response.status}: ${text}`);
        return true;
      }
      answer = JSON.parse(text);
    } catch (thrown) {
      if (thrown instanceof Refused) throw thrown;
      this.outcomes.cutOff++;
      return false;
    }
    this.outcomes.acknowledged++;
    acknowledged(answer);
    return true;
  }
}

class Refused extends Error {}

const eventOf = ({ id, n, end }: Sent): unknown => (end ? { id, n, end } : { id, n });
const recordOf = (event: Sent): unknown => ({ key: event.key, value: eventOf(event) });
