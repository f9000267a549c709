import { KeyfoldError } from "../../errors.ts";
import type {
  CommitRequest,
  Fetched,
  FetchRequest,
  Log,
  OffsetCommit,
  OffsetRange,
  OutBatch,
  TopicDescription,
  TopicPartition,
  TopicSpec,
} from "../log.ts";
import { allTopics, deleteTopic, describeTopic, ensureTopic } from "./admin.ts";
import { type Membership, NO_MEMBER } from "./api/offsets.ts";
import { InitProducerId, NO_IDENTITY } from "./api/transactions.ts";
import { retrying } from "./back-off.ts";
import { Cluster } from "./cluster.ts";
import { type Compression, checkCompression } from "./compression/compression.ts";
import { Fetcher } from "./fetcher.ts";
import type { LinkOptions } from "./link.ts";
import { checkEnded, commitOffsets, committedOffsets, deleteGroup, offsetRanges } from "./offsets.ts";
import { Producer } from "./producer.ts";
import { check, toKeyfold } from "./protocol-errors.ts";
import { TransactionalProducer } from "./transactions.ts";

export interface KafkaLogOptions {
  /** `host:port` of one or more brokers; the others are learnt from them. */
  readonly brokers: readonly string[];
  /** TLS: true, or options of Node's `tls.connect`. Default: none. */
  readonly ssl?: boolean | Readonly<Record<string, unknown>>;
  readonly sasl?: NonNullable<LinkOptions["sasl"]>;
  /** Shown in the broker's logs and quotas. Default `keyfold`. */
  readonly clientId?: string;
  /** Of the records we write. Default `none`; zstd needs Node 22.15. */
  readonly compression?: Compression;
  /** Of the topics we create. Default -1: the broker's default. */
  readonly replicationFactor?: number;
  /** Failures are tried again for so long before `log-unavailable` is thrown, ms. Default 30 000. */
  readonly unavailableAfterMs?: number;
  /** The broker aborts a transaction that is open for longer, ms. Default 10 000. */
  readonly transactionTimeoutMs?: number;
  /** Default 5 000. */
  readonly connectTimeoutMs?: number;
  /** Longest wait for an answer beyond what a request asks the broker to wait, ms. Default 15 000. */
  readonly requestTimeoutMs?: number;
}

export interface KafkaExtras {
  readonly kind: "kafka";
  /** For group membership, which shares connections and what is known of the brokers. */
  readonly cluster: Cluster;
  /**
   * Takes the transactional id of a `CommitRequest.producer` over: from here on, whoever committed under it before gets `fenced`, and what
   * they had open is ended. To be called when a task is assigned, before its offsets are read; a commit does it by itself otherwise.
   * Also needed to use a producer again that was fenced. `signal`: the task is somebody else's by now, who must not be fenced by us.
   */
  openProducer(producer: string, signal?: AbortSignal): Promise<void>;
  /** Throws, to be tried again, while one of these partitions, whose only writer we are by now, holds a transaction that has not ended. */
  checkEnded(partitions: readonly TopicPartition[]): Promise<void>;
  /** Where we stand in a group: commits of its offsets carry it, and are refused (`fenced`) once the group has moved on. Undefined: no member. */
  setMembership(group: string, membership: Membership | undefined): void;
  metrics(): Readonly<KafkaMetrics> & RequestMetrics;
}

/** What a log has done since it was opened. Bytes are those of encoded batches. */
interface KafkaMetrics {
  recordsAppended: number;
  bytesAppended: number;
  fetches: number;
  bytesFetched: number;
  commits: number;
  /** Commits that were transactions. */
  transactions: number;
}

interface RequestMetrics {
  /** By name. */
  readonly requests: Readonly<Record<string, number>>;
  /** Requests that failed and were repeated. */
  readonly retries: number;
}

/** Connections that the transactional producers of one log share. */
const TRANSACTION_LANES = 4;

/** Opens a log on Apache Kafka (brokers 3.0 or later). Resolves when a broker has answered; every thread opens its own. */
export async function openKafkaLog(options: KafkaLogOptions): Promise<Log & KafkaExtras> {
  checkCompression(options.compression ?? "none");
  const { connectTimeoutMs = 5000, requestTimeoutMs = 15_000, clientId = "keyfold", unavailableAfterMs = 30_000 } = options;
  const cluster = new Cluster({
    brokers: options.brokers,
    clientId,
    connectTimeoutMs,
    requestTimeoutMs,
    ...(options.ssl === undefined ? {} : { ssl: options.ssl }),
    ...(options.sasl === undefined ? {} : { sasl: options.sasl }),
  });
  try {
    await retrying(() => cluster.metadata([]), { deadline: Date.now() + unavailableAfterMs });
  } catch (thrown) {
    cluster.close();
    throw toKeyfold(thrown, `Connecting to Kafka at ${options.brokers.join(", ")}`);
  }
  return new KafkaLog(cluster, options);
}

class KafkaLog implements Log, KafkaExtras {
  readonly kind = "kafka";
  readonly cluster: Cluster;
  readonly #compression: Compression;
  readonly #replicationFactor: number;
  readonly #unavailableAfterMs: number;
  readonly #transactionTimeoutMs: number;
  readonly #fetcher: Fetcher;
  readonly #transactional = new Map<string, TransactionalProducer>();
  readonly #members = new Map<string, Membership>();
  readonly #metrics: KafkaMetrics = { recordsAppended: 0, bytesAppended: 0, fetches: 0, bytesFetched: 0, commits: 0, transactions: 0 };
  #producer: Producer | undefined;
  #opening: Promise<Producer> | undefined;
  #opened = 0;

  constructor(
    cluster: Cluster,
    { compression = "none", replicationFactor = -1, unavailableAfterMs = 30_000, transactionTimeoutMs = 10_000 }: KafkaLogOptions,
  ) {
    this.cluster = cluster;
    this.#compression = compression;
    this.#replicationFactor = replicationFactor;
    this.#unavailableAfterMs = unavailableAfterMs;
    this.#transactionTimeoutMs = transactionTimeoutMs;
    this.#fetcher = new Fetcher({
      cluster,
      unavailableAfterMs,
      ranges: (partitions) => offsetRanges(cluster, partitions, this.#deadline()),
    });
  }

  ensureTopic(spec: TopicSpec): Promise<TopicDescription> {
    return this.#do(`Creating topic "${spec.name}"`, () => ensureTopic(this.cluster, spec, this.#replicationFactor, this.#deadline()));
  }

  describe(topic: string): Promise<TopicDescription | undefined> {
    return this.#do(`Describing topic "${topic}"`, () => describeTopic(this.cluster, topic, this.#deadline()));
  }

  topics(): Promise<TopicDescription[]> {
    return this.#do("Listing the topics", () => allTopics(this.cluster, this.#deadline()));
  }

  deleteTopic(topic: string): Promise<void> {
    return this.#do(`Deleting topic "${topic}"`, () => deleteTopic(this.cluster, topic, this.#deadline()));
  }

  offsets(partitions: readonly TopicPartition[]): Promise<OffsetRange[]> {
    return this.#do("Reading offsets", () => offsetRanges(this.cluster, partitions, this.#deadline()));
  }

  fetch(request: FetchRequest): Promise<Fetched> {
    return this.#do(`Reading ${request.topic}-${request.partition}`, async () => {
      const fetched = await this.#fetcher.fetch(request);
      this.#metrics.fetches++;
      this.#metrics.bytesFetched += fetched.data.length;
      return fetched;
    });
  }

  append(batches: readonly OutBatch[]): Promise<number[]> {
    return this.#do("Writing", async () => this.#counted(batches, await (await this.#idempotent()).send(batches)));
  }

  commit(request: CommitRequest): Promise<number[]> {
    const { group, producer, offsets, batches, atomic } = request;
    return this.#do(`Commit of ${producer}`, async () => {
      // As of now: if the group moves on while we write, the offsets are refused, whatever we have become in the meantime.
      const member = this.#members.get(group) ?? NO_MEMBER;
      this.#metrics.commits++;
      if (atomic) this.#metrics.transactions++;
      if (atomic) return this.#counted(batches, await this.#transaction(producer).commit(request, member));
      const bases = await this.append(batches);
      await commitOffsets(this.cluster, group, member, offsets, this.#deadline());
      return bases;
    });
  }

  committed(group: string, partitions: readonly TopicPartition[]): Promise<(OffsetCommit | undefined)[]> {
    return this.#do(`Reading the offsets of group "${group}"`, () => committedOffsets(this.cluster, group, partitions, this.#deadline()));
  }

  deleteGroup(group: string): Promise<void> {
    return this.#do(`Deleting group "${group}"`, () => deleteGroup(this.cluster, group, this.#deadline()));
  }

  async openProducer(producer: string, signal?: AbortSignal): Promise<void> {
    this.#transactional.delete(producer);
    await this.#do(`Taking over ${producer}`, () => this.#transaction(producer).open(signal));
  }

  checkEnded(partitions: readonly TopicPartition[]): Promise<void> {
    return this.#do("Reading offsets", () => checkEnded(this.cluster, partitions, this.#deadline()));
  }

  setMembership(group: string, membership: Membership | undefined): void {
    if (membership === undefined) this.#members.delete(group);
    else this.#members.set(group, membership);
  }

  metrics(): Readonly<KafkaMetrics> & RequestMetrics {
    const { requests, retries } = this.cluster.counters;
    return { ...this.#metrics, retries, requests: Object.fromEntries(requests) };
  }

  async close(): Promise<void> {
    this.cluster.close();
  }

  #counted(batches: readonly OutBatch[], bases: number[]): number[] {
    for (const { count, data } of batches) {
      this.#metrics.recordsAppended += count;
      this.#metrics.bytesAppended += data.length;
    }
    return bases;
  }

  #transaction(transactionalId: string): TransactionalProducer {
    let transaction = this.#transactional.get(transactionalId);
    if (transaction === undefined) {
      transaction = new TransactionalProducer({
        cluster: this.cluster,
        transactionalId,
        lane: `transaction-${this.#opened++ % TRANSACTION_LANES}`,
        compression: this.#compression,
        transactionTimeoutMs: this.#transactionTimeoutMs,
        unavailableAfterMs: this.#unavailableAfterMs,
      });
      this.#transactional.set(transactionalId, transaction);
    }
    return transaction;
  }

  /** The producer of everything outside transactions; one that is broken is replaced, under a new identity. */
  #idempotent(): Promise<Producer> {
    if (this.#producer !== undefined && this.#producer.broken === undefined) return Promise.resolve(this.#producer);
    this.#opening ??= this.#openProducer().finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  async #openProducer(): Promise<Producer> {
    const { cluster } = this;
    const { identity } = await retrying(
      async () => {
        const answer = await cluster.callAny(InitProducerId, {
          transactionalId: null,
          timeoutMs: this.#transactionTimeoutMs,
          identity: NO_IDENTITY,
        });
        check(answer.errorCode, "InitProducerId");
        return answer;
      },
      { deadline: this.#deadline(), signal: cluster.signal },
    );
    this.#producer = new Producer(identity, {
      cluster,
      lane: "produce",
      transactionalId: null,
      compression: this.#compression,
      unavailableAfterMs: this.#unavailableAfterMs,
    });
    return this.#producer;
  }

  #deadline(): number {
    return Date.now() + this.#unavailableAfterMs;
  }

  /** Errors as the port promises them: plain words around what the protocol says. */
  async #do<T>(what: string, work: () => Promise<T>): Promise<T> {
    if (this.cluster.signal.aborted) throw new KeyfoldError("log-closed", "The log is closed.", { remedy: "fatal" });
    try {
      return await work();
    } catch (thrown) {
      throw toKeyfold(thrown, what);
    }
  }
}
