import { KeyfoldError } from "../../errors.ts";
import type { OutBatch, TopicPartition } from "../log.ts";
import { Produce, type Produced } from "./api/produce.ts";
import type { ProducerIdentity } from "./api/transactions.ts";
import { pause } from "./back-off.ts";
import type { Cluster } from "./cluster.ts";
import type { Compression } from "./compression/compression.ts";
import { nextSequence, type Unit, unitsOf, writeUnit } from "./outgoing.ts";
import { BrokerError, CODE, isRetriable, LinkError, toKeyfold } from "./protocol-errors.ts";

/** Bytes of one Produce request; a partition's batch goes alone when it is larger. */
const REQUEST_BYTES = 8 * 1024 * 1024;
/** How long a broker may wait for its replicas, ms. */
const REPLICA_TIMEOUT_MS = 30_000;

/** One call of `send` under way. */
interface Sending {
  readonly bases: number[];
  left: number;
  readonly giveUp: number;
  resolve(bases: number[]): void;
  reject(error: KeyfoldError): void;
  failed: boolean;
}

interface Item {
  readonly unit: Unit;
  readonly sending: Sending;
  /** Index in `bases`, for the first unit of its OutBatch. */
  readonly index: number | undefined;
}

/** What waits for one partition, in order. One batch at a time is under way, so that a repetition can never overtake. */
interface Queue extends TopicPartition {
  readonly items: Item[];
  sequence: number;
  busy: boolean;
  failures: number;
}

export interface ProducerOptions {
  readonly cluster: Cluster;
  /** Connection of each broker that carries the requests. */
  readonly lane: string;
  readonly transactionalId: string | null;
  readonly compression: Compression;
  /** Failures are tried again for so long, ms. */
  readonly unavailableAfterMs: number;
}

/**
 * Sends batches, acknowledged by all replicas, under one producer identity: each partition's batches carry sequence numbers, by
 * which the broker drops what it already has when a request is repeated. After a failure that leaves a sequence in doubt the
 * producer is `broken`, and a new one with another identity (or epoch) must take its place.
 */
export class Producer {
  readonly #options: ProducerOptions;
  readonly #identity: ProducerIdentity;
  readonly #queues = new Map<string, Queue>();
  #pumping: NodeJS.Immediate | undefined;
  #broken: KeyfoldError | undefined;

  constructor(identity: ProducerIdentity, options: ProducerOptions) {
    this.#identity = identity;
    this.#options = options;
  }

  /** Why it takes no more; undefined while it does. */
  get broken(): KeyfoldError | undefined {
    return this.#broken;
  }

  /** Resolves to the offset of each batch's first record. */
  send(batches: readonly OutBatch[]): Promise<number[]> {
    return new Promise((resolve, reject) => {
      if (this.#broken !== undefined) throw this.#broken;
      const parts = batches.map((batch) => ({ batch, units: unitsOf(batch) }));
      const sending: Sending = {
        bases: new Array<number>(batches.length).fill(-1),
        left: 0,
        giveUp: Date.now() + this.#options.unavailableAfterMs,
        resolve,
        reject,
        failed: false,
      };
      parts.forEach(({ batch, units }, i) => {
        const queue = this.#queue(batch);
        sending.left += units.length;
        for (const [n, unit] of units.entries()) queue.items.push({ unit, sending, index: n === 0 ? i : undefined });
      });
      if (sending.left === 0) resolve(sending.bases);
      else this.#pump();
    });
  }

  #queue({ topic, partition }: TopicPartition): Queue {
    const name = `${topic}/${partition}`;
    let queue = this.#queues.get(name);
    if (queue === undefined) {
      queue = { topic, partition, items: [], sequence: 0, busy: false, failures: 0 };
      this.#queues.set(name, queue);
    }
    return queue;
  }

  /** At the end of this turn, so that what is sent in it shares requests. */
  #pump(): void {
    this.#pumping ??= setImmediate(() => {
      this.#pumping = undefined;
      const requests = new Map<number, { bytes: number; queues: Queue[] }>();
      for (const queue of this.#queues.values()) {
        const item = queue.items[0];
        if (item === undefined || queue.busy) continue;
        const leader = this.#options.cluster.knownLeader(queue.topic, queue.partition);
        if (leader === undefined) {
          void this.#locate(queue);
          continue;
        }
        const request = requests.get(leader) ?? { bytes: 0, queues: [] };
        requests.set(leader, request);
        if (request.queues.length > 0 && request.bytes + item.unit.data.length > REQUEST_BYTES) continue;
        queue.busy = true;
        request.bytes += item.unit.data.length;
        request.queues.push(queue);
      }
      for (const [leader, { bytes, queues }] of requests) void this.#request(leader, bytes, queues);
    });
  }

  async #locate(queue: Queue): Promise<void> {
    queue.busy = true;
    try {
      await this.#options.cluster.leader(queue.topic, queue.partition);
      queue.busy = false;
      this.#pump();
    } catch (thrown) {
      this.#failed(queue, thrown);
    }
  }

  async #request(leader: number, bytes: number, queues: readonly Queue[]): Promise<void> {
    const { cluster, lane, transactionalId, compression } = this.#options;
    const transactional = transactionalId !== null;
    const now = Date.now();
    const partitions = queues.map((queue) => ({
      topic: queue.topic,
      partition: queue.partition,
      writeBatch: (writer: Parameters<typeof writeUnit>[0]) => {
        const item = queue.items[0];
        if (item !== undefined)
          writeUnit(writer, item.unit, { identity: this.#identity, sequence: queue.sequence, transactional, compression, now });
      },
    }));
    try {
      const produced = await cluster.call(
        leader,
        lane,
        Produce,
        { transactionalId, timeoutMs: REPLICA_TIMEOUT_MS, size: bytes + queues.length * 64 + 256, partitions },
        REPLICA_TIMEOUT_MS,
      );
      const answers = new Map(produced.map((answer) => [`${answer.topic}/${answer.partition}`, answer]));
      for (const queue of queues) this.#answered(queue, answers.get(`${queue.topic}/${queue.partition}`));
    } catch (thrown) {
      for (const queue of queues) this.#failed(queue, thrown);
    }
    this.#pump();
  }

  #answered(queue: Queue, answer: Produced | undefined): void {
    const code = answer === undefined ? CODE.unknownTopicOrPartition : answer.errorCode;
    if (code !== CODE.none && code !== CODE.duplicateSequence) {
      this.#failed(queue, new BrokerError(code, `write to ${queue.topic}-${queue.partition}`));
      return;
    }
    queue.busy = false;
    queue.failures = 0;
    const item = queue.items.shift();
    if (item === undefined) return;
    queue.sequence = nextSequence(queue.sequence, item.unit.count);
    const { sending, index } = item;
    if (index !== undefined) sending.bases[index] = answer?.baseOffset ?? -1;
    if (--sending.left === 0 && !sending.failed) sending.resolve(sending.bases);
  }

  #failed(queue: Queue, thrown: unknown): void {
    queue.busy = false;
    const item = queue.items[0];
    if (item === undefined || this.#broken !== undefined) return;
    const wait = pause(++queue.failures);
    const what = `Writing to ${queue.topic}-${queue.partition}`;
    if (isRetriable(thrown) && Date.now() + wait < item.sending.giveUp) {
      this.#options.cluster.counters.retries++;
      if (thrown instanceof LinkError || (thrown instanceof BrokerError && thrown.stale)) this.#options.cluster.forgetTopic(queue.topic);
      queue.busy = true;
      setTimeout(() => {
        queue.busy = false;
        this.#pump();
      }, wait);
      return;
    }
    const error = toKeyfold(thrown, what);
    // Refused as a whole, or never sent: no sequence number is in doubt, and the others go on.
    if (thrown instanceof KeyfoldError || (thrown instanceof BrokerError && thrown.refused)) this.#refuse(item.sending, error);
    else this.#break(error);
  }

  #refuse(sending: Sending, error: KeyfoldError): void {
    fail(sending, error);
    for (const [name, queue] of this.#queues) {
      const kept = queue.items.filter((item, i) => item.sending !== sending || (i === 0 && queue.busy));
      queue.items.splice(0, queue.items.length, ...kept);
      if (kept.length === 0 && queue.sequence === 0) this.#queues.delete(name);
    }
    this.#pump();
  }

  #break(error: KeyfoldError): void {
    if (this.#broken !== undefined) return;
    this.#broken = error;
    for (const queue of this.#queues.values()) for (const { sending } of queue.items.splice(0)) fail(sending, error);
  }
}

function fail(sending: Sending, error: KeyfoldError): void {
  if (sending.failed) return;
  sending.failed = true;
  sending.reject(error);
}
