import { KeyfoldError } from "../../errors.ts";
import type { Fetched, FetchRequest, OffsetRange, TopicPartition } from "../log.ts";
import { Fetch, type PartitionData } from "./api/fetch.ts";
import { pause } from "./back-off.ts";
import type { Cluster } from "./cluster.ts";
import { BrokerError, CODE, isRetriable, toKeyfold } from "./protocol-errors.ts";
import { readRecordSet } from "./record-set.ts";

/** Connections for fetching from one broker. */
const LANES = 4;
/** The last free connection is not given away for long: whoever asks next needs it. */
const LAST_LANE_WAIT_MS = 20;
/** Waits end together, at multiples of this on the clock, so that idle partitions come to share one request. */
const WAIT_STEP_MS = 500;
/** How long a partition that had nothing waits for others to ask with. */
const GATHER_MS = 4;
/** A broker's own limit for one answer is 55 MiB by default. */
const MOST_BYTES = 50 * 1024 * 1024;
/** A damaged batch is read again this often: the damage may have come on the way. */
const REREADS = 2;

/** One call of `Log.fetch` under way. */
interface Ask {
  readonly request: FetchRequest;
  readonly deadline: number;
  /** Epoch ms after which failures are no longer tried again. */
  giveUp: number;
  failures: number;
  rereads: number;
  /** Ask for this partition only: an empty answer then means that there is nothing, not that others took the room. */
  alone: boolean;
  end: number;
  done: boolean;
  resolve(fetched: Fetched): void;
  reject(error: KeyfoldError): void;
}

interface Node {
  readonly id: number;
  readonly queue: Ask[];
  readonly busy: boolean[];
  flushing: NodeJS.Immediate | undefined;
  gathering: NodeJS.Timeout | undefined;
}

export interface FetcherOptions {
  readonly cluster: Cluster;
  readonly unavailableAfterMs: number;
  /** For the message about an offset out of range. */
  readonly ranges: (partitions: readonly TopicPartition[]) => Promise<OffsetRange[]>;
}

/**
 * Reads partitions by position. Everybody who asks in the same turn shares one Fetch request a broker, and idle partitions
 * wait together; a few connections a broker see to it that a busy partition never waits behind an idle one.
 */
export class Fetcher {
  readonly #options: FetcherOptions;
  readonly #nodes = new Map<number, Node>();
  readonly #asks = new Set<Ask>();

  constructor(options: FetcherOptions) {
    this.#options = options;
    options.cluster.signal.addEventListener("abort", () => this.#stop(), { once: true });
  }

  fetch(request: FetchRequest): Promise<Fetched> {
    return new Promise((resolve, reject) => {
      const now = Date.now();
      const ask: Ask = {
        request,
        deadline: now + request.maxWaitMs,
        giveUp: now + this.#options.unavailableAfterMs,
        failures: 0,
        rereads: 0,
        alone: false,
        end: request.position,
        done: false,
        resolve,
        reject,
      };
      this.#asks.add(ask);
      const { signal } = request;
      if (signal !== undefined) {
        const stop = (): void => this.#answer(ask, Buffer.alloc(0), request.position);
        if (signal.aborted) {
          stop();
          return;
        }
        signal.addEventListener("abort", stop, { once: true });
        ask.resolve = (fetched) => {
          signal.removeEventListener("abort", stop);
          resolve(fetched);
        };
        ask.reject = (error) => {
          signal.removeEventListener("abort", stop);
          reject(error);
        };
      }
      this.#place(ask, 0);
    });
  }

  /** Queues an ask at its leader. `wait`: ms to gather others, 0 to go at the end of this turn. */
  #place(ask: Ask, wait: number): void {
    if (ask.done) return;
    const { topic, partition } = ask.request;
    const known = this.#options.cluster.knownLeader(topic, partition);
    if (known !== undefined) {
      this.#queue(this.#node(known), ask, wait);
      return;
    }
    this.#options.cluster.leader(topic, partition).then(
      (leader) => this.#queue(this.#node(leader), ask, 0),
      (thrown: unknown) => this.#failed(ask, thrown),
    );
  }

  #queue(node: Node, ask: Ask, wait: number): void {
    node.queue.push(ask);
    if (wait > 0) {
      node.gathering ??= setTimeout(() => {
        node.gathering = undefined;
        this.#flush(node);
      }, wait);
    } else {
      node.flushing ??= setImmediate(() => {
        node.flushing = undefined;
        this.#flush(node);
      });
    }
  }

  /** Sends what is queued, as far as there are free connections. */
  #flush(node: Node): void {
    while (node.queue.length > 0) {
      const lane = node.busy.findIndex((busy) => !busy);
      if (lane < 0) return;
      const asks = take(node.queue);
      if (asks.length === 0) continue;
      node.busy[lane] = true;
      const isLast = node.busy.every((busy) => busy);
      void this.#send(node, lane, asks, isLast).finally(() => {
        node.busy[lane] = false;
        if (node.queue.length > 0 && node.gathering === undefined) this.#flush(node);
      });
    }
  }

  async #send(node: Node, lane: number, asks: readonly Ask[], isLast: boolean): Promise<void> {
    const now = Date.now();
    let maxWaitMs = isLast ? LAST_LANE_WAIT_MS : WAIT_STEP_MS - (now % WAIT_STEP_MS);
    let maxBytes = 0;
    for (const { request, deadline, alone } of asks) {
      maxWaitMs = alone ? 0 : Math.max(0, Math.min(maxWaitMs, deadline - now));
      maxBytes += request.maxBytes;
    }
    const partitions = asks.map(({ request: { topic, partition, position, maxBytes: most } }) => ({
      topic,
      partition,
      position,
      maxBytes: Math.min(most, 2 ** 31 - 1),
    }));
    try {
      const answer = await this.#options.cluster.call(
        node.id,
        `fetch-${lane}`,
        Fetch,
        { maxWaitMs, maxBytes: Math.min(maxBytes, MOST_BYTES), partitions },
        maxWaitMs,
      );
      if (answer.errorCode !== CODE.none) throw new BrokerError(answer.errorCode, "Fetch");
      const found = new Map(answer.partitions.map((data) => [`${data.topic}/${data.partition}`, data]));
      for (const ask of asks) {
        const data = found.get(`${ask.request.topic}/${ask.request.partition}`);
        if (ask.done) continue;
        if (data === undefined) this.#failed(ask, new BrokerError(CODE.unknownTopicOrPartition, "Fetch"));
        else this.#take(ask, data);
      }
    } catch (thrown) {
      for (const ask of asks) this.#failed(ask, thrown);
    }
  }

  #take(ask: Ask, { errorCode, lastStableOffset, aborted, records }: PartitionData): void {
    const { topic, partition, position } = ask.request;
    if (errorCode === CODE.offsetOutOfRange) void this.#outOfRange(ask);
    else if (errorCode !== CODE.none) this.#failed(ask, new BrokerError(errorCode, `fetch from ${topic}-${partition}`));
    else {
      ask.failures = 0;
      ask.giveUp = Date.now() + this.#options.unavailableAfterMs;
      ask.end = Math.max(lastStableOffset, 0);
      if (records !== null && records.length > 0) this.#read(ask, records, aborted);
      else if (position >= lastStableOffset && Date.now() >= ask.deadline) this.#answer(ask, Buffer.alloc(0), position);
      else if (position >= lastStableOffset) this.#place(ask, GATHER_MS);
      // Asked for alone and empty: compaction left nothing between here and the end.
      else if (ask.alone) this.#answer(ask, Buffer.alloc(0), lastStableOffset);
      else {
        ask.alone = true;
        this.#place(ask, 0);
      }
    }
  }

  #read(ask: Ask, records: Buffer, aborted: PartitionData["aborted"]): void {
    const { topic, partition, position } = ask.request;
    try {
      const { data, next } = readRecordSet(records, aborted, ask.request);
      if (next === undefined || next <= position) {
        throw new KeyfoldError(
          "log-corrupt",
          `Kafka answered a fetch of ${topic}-${partition} at ${position} with ${records.length} bytes that hold no whole batch from there on.`,
          { remedy: "corrupt", details: { topic, partition, position } },
        );
      }
      this.#answer(ask, data, next);
    } catch (thrown) {
      if (ask.rereads++ < REREADS) this.#place(ask, GATHER_MS);
      else this.#fail(ask, KeyfoldError.from(thrown, "log-corrupt", "corrupt"));
    }
  }

  #failed(ask: Ask, thrown: unknown): void {
    if (ask.done) return;
    const { topic, partition } = ask.request;
    const wait = pause(++ask.failures);
    if (!isRetriable(thrown) || Date.now() + wait > ask.giveUp) {
      this.#fail(ask, toKeyfold(thrown, `Reading ${topic}-${partition}`));
      return;
    }
    this.#options.cluster.counters.retries++;
    this.#options.cluster.forgetTopic(topic);
    setTimeout(() => this.#place(ask, 0), wait);
  }

  /** Says how large the gap is; leaves it to the caller what to do about it. */
  async #outOfRange(ask: Ask): Promise<void> {
    const { topic, partition, position } = ask.request;
    try {
      const [range] = await this.#options.ranges([ask.request]);
      const { start, end } = range ?? { start: 0, end: 0 };
      if (position >= start && position <= end && ask.rereads++ < REREADS) {
        this.#place(ask, GATHER_MS);
        return;
      }
      const gap = position < start ? start - position : position - end;
      const what = position < start ? `its records begin at ${start}: ${gap} are gone` : `its records end at ${end}, ${gap} before it`;
      this.#fail(
        ask,
        new KeyfoldError("offset-out-of-range", `Position ${position} of ${topic}-${partition} is not in the log; ${what}.`, {
          details: { topic, partition, position, start, end, gap },
        }),
      );
    } catch (thrown) {
      this.#fail(ask, toKeyfold(thrown, `Reading ${topic}-${partition}`));
    }
  }

  #answer(ask: Ask, data: Buffer, next: number): void {
    if (ask.done) return;
    ask.done = true;
    this.#asks.delete(ask);
    ask.resolve({ data, next, end: ask.end });
  }

  #fail(ask: Ask, error: KeyfoldError): void {
    if (ask.done) return;
    ask.done = true;
    this.#asks.delete(ask);
    ask.reject(error);
  }

  #node(id: number): Node {
    let node = this.#nodes.get(id);
    if (node === undefined) {
      node = { id, queue: [], busy: new Array<boolean>(LANES).fill(false), flushing: undefined, gathering: undefined };
      this.#nodes.set(id, node);
    }
    return node;
  }

  #stop(): void {
    for (const { gathering } of this.#nodes.values()) clearTimeout(gathering);
    for (const ask of this.#asks) this.#fail(ask, new KeyfoldError("log-closed", "The log is closed.", { remedy: "fatal" }));
  }
}

/** The asks that can share the next request: each partition once, and one that must be alone with no other. */
function take(queue: Ask[]): Ask[] {
  const taken: Ask[] = [];
  const partitions = new Set<string>();
  const rest: Ask[] = [];
  for (const ask of queue) {
    if (ask.done) continue;
    const name = `${ask.request.topic}/${ask.request.partition}`;
    const fits = taken.length === 0 || (!ask.alone && taken[0]?.alone === false && !partitions.has(name));
    if (!fits) {
      rest.push(ask);
      continue;
    }
    partitions.add(name);
    taken.push(ask);
  }
  queue.splice(0, queue.length, ...rest);
  return taken;
}
