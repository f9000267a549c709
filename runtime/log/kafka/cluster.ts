import { setMaxListeners } from "node:events";
import { KeyfoldError } from "../../errors.ts";
import type { Api } from "./api/api.ts";
import { ApiVersions, type ClusterMetadata, type CoordinatorType, FindCoordinator, Metadata } from "./api/metadata.ts";
import { checkOpen, type RetryOptions, retrying } from "./back-off.ts";
import { Link, type LinkOptions } from "./link.ts";
import { BrokerError, CODE, check, LinkError } from "./protocol-errors.ts";
import { checkVersions } from "./versions.ts";

export interface ClusterOptions extends LinkOptions {
  /** `host:port` of some brokers; the others are learnt from them. */
  readonly brokers: readonly string[];
}

interface Address {
  readonly host: string;
  readonly port: number;
}

/** Which connection of a broker carries a request: those that may wait do not share one with those that may not. */
export type Lane = string;

/** A broker that has just started may not have heard of every topic yet: one that was there before is looked for so long, ms. */
const MISSING_MS = 15_000;

/**
 * The brokers of a Kafka cluster: who leads which partition, who coordinates which group or transactional id, and connections to
 * all of them. What it knows is forgotten piece by piece when a broker says it is stale.
 */
export class Cluster {
  readonly #options: ClusterOptions;
  readonly #seeds: readonly Address[];
  readonly #nodes = new Map<number, Address>();
  readonly #links = new Map<string, Link>();
  /** Leader of each partition; -1 while there is none. */
  readonly #leaders = new Map<string, readonly number[]>();
  /** Topics that have been seen, with when each went missing (Infinity: it has not). */
  readonly #seen = new Map<string, number>();
  readonly #coordinators = new Map<string, number>();
  readonly #refreshing = new Map<string, Promise<ClusterMetadata>>();
  readonly #checked = new Set<number>();
  readonly #close = new AbortController();
  /** Requests sent, by name, and how many of all were repetitions. */
  readonly counters = { requests: new Map<string, number>(), retries: 0 };
  #controller = -1;

  constructor(options: ClusterOptions) {
    this.#options = options;
    // Every wait under way listens to it.
    setMaxListeners(0, this.#close.signal);
    this.#seeds = options.brokers.map(parseAddress);
    if (this.#seeds.length === 0) throw new KeyfoldError("config-invalid", "log.brokers is empty: name at least one broker as host:port.");
  }

  /** Fires when the cluster is closed. */
  get signal(): AbortSignal {
    return this.#close.signal;
  }

  /** A request to one broker. */
  async call<Q, A>(node: number, lane: Lane, api: Api<Q, A>, request: Q, waitMs = 0): Promise<A> {
    checkOpen(this.signal);
    const link = this.#link(node, lane);
    try {
      if (!this.#checked.has(node)) await this.#checkVersions(node, link);
      this.counters.requests.set(api.name, (this.counters.requests.get(api.name) ?? 0) + 1);
      return await link.call(api, request, waitMs);
    } catch (thrown) {
      checkOpen(this.signal);
      throw thrown;
    }
  }

  /** A request that any broker can answer: those connected first, then the others, then the ones from the config. */
  async callAny<Q, A>(api: Api<Q, A>, request: Q): Promise<A> {
    const known = shuffled([...this.#nodes.keys()]).sort((a, b) => Number(this.#isConnected(b)) - Number(this.#isConnected(a)));
    const seeds = shuffled(this.#seeds.map((_, i) => -1 - i));
    let last: unknown;
    for (const node of [...known, ...seeds]) {
      try {
        return await this.call(node, "control", api, request);
      } catch (thrown) {
        if (!(thrown instanceof LinkError)) throw thrown;
        last = thrown;
      }
    }
    throw last;
  }

  /** Leader of a partition. Throws `topic-unknown`, `partition-unknown`, or a retriable error while there is no leader. */
  async leader(topic: string, partition: number): Promise<number> {
    const known = this.knownLeader(topic, partition);
    if (known !== undefined) return known;
    await this.metadata([topic]);
    const found = this.knownLeader(topic, partition);
    if (found !== undefined) return found;
    const partitions = this.#leaders.get(topic)?.length;
    if (partitions === undefined && Date.now() < (this.#seen.get(topic) ?? 0) + MISSING_MS)
      throw new BrokerError(CODE.unknownTopicOrPartition, `metadata of ${topic}`);
    if (partitions === undefined) throw new KeyfoldError("topic-unknown", `There is no topic "${topic}".`, { details: { topic } });
    if (!(partition < partitions && partition >= 0)) {
      throw new KeyfoldError(
        "partition-unknown",
        `Topic "${topic}" has ${partitions} partitions, 0 to ${partitions - 1}; there is no partition ${partition}.`,
        { details: { topic, partition } },
      );
    }
    this.forgetTopic(topic);
    throw new BrokerError(5, `leader of ${topic}-${partition}`);
  }

  /** The leader as last heard, without asking. */
  knownLeader(topic: string, partition: number): number | undefined {
    const leader = this.#leaders.get(topic)?.[partition];
    return leader === undefined || leader < 0 ? undefined : leader;
  }

  forgetTopic(topic: string): void {
    this.#leaders.delete(topic);
  }

  /** It is gone for good, and known to be. */
  topicDeleted(topic: string): void {
    this.#leaders.delete(topic);
    this.#seen.delete(topic);
  }

  /** Asks anew; `null` for all topics. Callers at the same time share one request. */
  metadata(topics: readonly string[] | null): Promise<ClusterMetadata> {
    const name = topics === null ? "" : topics.join(",");
    let asked = this.#refreshing.get(name);
    if (asked === undefined) {
      asked = this.#refresh(topics).finally(() => this.#refreshing.delete(name));
      this.#refreshing.set(name, asked);
    }
    return asked;
  }

  /** A request to the controller, wherever it is. */
  async callController<Q, A>(api: Api<Q, A>, request: Q, waitMs: number): Promise<A> {
    if (!this.#nodes.has(this.#controller)) await this.metadata([]);
    return this.call(this.#nodes.has(this.#controller) ? this.#controller : -1, "control", api, request, waitMs);
  }

  /** Broker that coordinates a group or a transactional id. */
  async coordinator(type: CoordinatorType, key: string): Promise<number> {
    const name = `${type}/${key}`;
    const known = this.#coordinators.get(name);
    if (known !== undefined) return known;
    const found = await this.callAny(FindCoordinator, { key, type });
    check(found.errorCode, `coordinator of ${type} ${key}`, found.text);
    if (!this.#nodes.has(found.node)) this.#place(found.node, found);
    this.#coordinators.set(name, found.node);
    return found.node;
  }

  forgetCoordinator(type: CoordinatorType, key: string): void {
    this.#coordinators.delete(`${type}/${key}`);
  }

  /**
   * A request to a coordinator, repeated (with the coordinator looked up anew) until it succeeds. `read` throws for error codes
   * in the answer.
   */
  callCoordinator<Q, A>(
    type: CoordinatorType,
    key: string,
    lane: Lane,
    api: Api<Q, A>,
    request: () => Q,
    read: (answer: A) => void,
    limits: Pick<RetryOptions, "deadline" | "longest" | "failed" | "signal">,
  ): Promise<A> {
    return retrying(
      async () => {
        const answer = await this.call(await this.coordinator(type, key), lane, api, request());
        read(answer);
        return answer;
      },
      {
        ...limits,
        signal: limits.signal === undefined ? this.signal : AbortSignal.any([this.signal, limits.signal]),
        failed: (thrown) => {
          if (thrown instanceof LinkError || (thrown instanceof BrokerError && thrown.stale)) this.forgetCoordinator(type, key);
          this.counters.retries++;
          limits.failed?.(thrown);
        },
      },
    );
  }

  closeLane(node: number, lane: Lane): void {
    const name = `${node}/${lane}`;
    this.#links.get(name)?.close();
    this.#links.delete(name);
  }

  close(): void {
    this.#close.abort();
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
  }

  async #refresh(topics: readonly string[] | null): Promise<ClusterMetadata> {
    const metadata = await this.callAny(Metadata, { topics });
    for (const { id, host, port } of metadata.brokers) this.#place(id, { host, port });
    this.#controller = metadata.controller;
    for (const topic of topics ?? []) this.#leaders.delete(topic);
    for (const { name, errorCode, partitions } of metadata.topics) {
      if (errorCode !== CODE.none) {
        if (this.#seen.get(name) === Number.POSITIVE_INFINITY) this.#seen.set(name, Date.now());
        continue;
      }
      this.#seen.set(name, Number.POSITIVE_INFINITY);
      const leaders: number[] = [];
      for (const { partition, leader } of partitions) leaders[partition] = leader;
      this.#leaders.set(name, leaders);
    }
    // The brokers of the config were only needed to get here.
    if (this.#nodes.size > 0) for (const i of this.#seeds.keys()) this.closeLane(-1 - i, "control");
    return metadata;
  }

  #place(id: number, { host, port }: Address): void {
    const known = this.#nodes.get(id);
    if (known?.host === host && known.port === port) return;
    this.#nodes.set(id, { host, port });
    for (const [name, link] of this.#links) {
      if (!name.startsWith(`${id}/`)) continue;
      link.close();
      this.#links.delete(name);
    }
  }

  #isConnected(node: number): boolean {
    return this.#links.get(`${node}/control`)?.connected === true;
  }

  #link(node: number, lane: Lane): Link {
    const name = `${node}/${lane}`;
    const open = this.#links.get(name);
    if (open !== undefined) return open;
    const address = node < 0 ? this.#seeds[-1 - node] : this.#nodes.get(node);
    if (address === undefined) throw new LinkError(`broker ${node} is not known`);
    const link = new Link(address.host, address.port, this.#options);
    this.#links.set(name, link);
    return link;
  }

  async #checkVersions(node: number, link: Link): Promise<void> {
    const { errorCode, versions } = await link.call(ApiVersions, undefined);
    check(errorCode, "ApiVersions");
    checkVersions(versions);
    this.#checked.add(node);
  }
}

function parseAddress(text: string): Address {
  const match = /^\[?([^\]\s/]+?)\]?:(\d{1,5})$/.exec(text.trim());
  if (match?.[1] === undefined)
    throw new KeyfoldError("config-invalid", `log.brokers: "${text}" is not host:port.`, { details: { value: text } });
  return { host: match[1], port: Number(match[2]) };
}

function shuffled<T>(items: T[]): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [items[i], items[j]] = [items[j] as T, items[i] as T];
  }
  return items;
}
