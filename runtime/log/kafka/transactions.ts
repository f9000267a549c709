import { setTimeout as sleep } from "node:timers/promises";
import type { KeyfoldError } from "../../errors.ts";
import type { CommitRequest } from "../log.ts";
import type { Api } from "./api/api.ts";
import type { Membership } from "./api/offsets.ts";
import {
  AddOffsetsToTxn,
  AddPartitionsToTxn,
  DescribeTransactions,
  EndTxn,
  InitProducerId,
  NO_IDENTITY,
  type ProducerIdentity,
  TxnOffsetCommit,
} from "./api/transactions.ts";
import type { Cluster, Lane } from "./cluster.ts";
import type { Compression } from "./compression/compression.ts";
import { Producer } from "./producer.ts";
import { BrokerError, CODE, check, LinkError, toKeyfold } from "./protocol-errors.ts";

export interface TransactionsOptions {
  readonly cluster: Cluster;
  readonly transactionalId: string;
  readonly lane: Lane;
  readonly compression: Compression;
  /** The broker aborts a transaction that is open for longer, ms: a dead owner holds readers up for at most so long. */
  readonly transactionTimeoutMs: number;
  readonly unavailableAfterMs: number;
}

/** How long an abort is tried, ms. */
const ABORT_MS = 2000;
/** Longest pause before a request is repeated, ms: what it waits for most is the end of another transaction. */
const RETRY_MS = 200;
/** How long a commit waits to be visible, ms. */
const VISIBLE_MS = 1000;

/**
 * One transactional id (a task): commits batches and offsets together.
 *
 *   new ──init──▶ ready ──commit──▶ ready
 *                   │ a commit fails: abort, renew the epoch ──▶ ready
 *                   └ somebody else took over ──▶ fenced (for good)
 *
 * Taking over bumps the epoch at the broker, which also ends what the owner before had open. Renewing names our own epoch, so that
 * one who was superseded without noticing is refused instead of pushing the new owner out.
 */
export class TransactionalProducer {
  readonly #options: TransactionsOptions;
  #identity: ProducerIdentity = NO_IDENTITY;
  #producer: Producer | undefined;
  #fenced: KeyfoldError | undefined;
  /**
   * A failed commit left the transaction or a sequence number in doubt, or a request went unanswered: it may still arrive, and within the
   * same epoch the next transaction would be taken for its own (its end, or offsets that are older by then).
   */
  #stained = false;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: TransactionsOptions) {
    this.#options = options;
  }

  /** Takes the transactional id over: whoever had it before cannot commit any more. Once; later calls do nothing. `signal` ends trying. */
  open(signal?: AbortSignal): Promise<void> {
    return this.#inTurn(async () => {
      await this.#ready(signal);
    });
  }

  commit(request: CommitRequest, member: Membership): Promise<number[]> {
    return this.#inTurn(() => this.#commit(request, member));
  }

  /** One after another: a transactional id has one transaction at a time. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(async () => {
      if (this.#fenced !== undefined) throw this.#fenced;
      try {
        return await work();
      } catch (thrown) {
        const error = toKeyfold(thrown, `Transaction of ${this.#options.transactionalId}`);
        if (error.code === "fenced") this.#fenced = error;
        throw error;
      }
    });
    this.#turn = result.catch(() => undefined);
    return result;
  }

  async #ready(signal?: AbortSignal): Promise<Producer> {
    if (this.#stained || this.#producer === undefined) {
      const { transactionalId, transactionTimeoutMs } = this.#options;
      const { identity } = await this.#ask(
        InitProducerId,
        () => ({ transactionalId, timeoutMs: transactionTimeoutMs, identity: this.#identity }),
        ({ errorCode }) => {
          check(errorCode, "InitProducerId");
        },
        this.#deadline(),
        signal,
      );
      this.#identity = identity;
      this.#producer = new Producer(identity, { ...this.#options });
      this.#stained = false;
    }
    return this.#producer;
  }

  async #commit(request: CommitRequest, member: Membership): Promise<number[]> {
    const producer = await this.#ready();
    if (request.batches.length === 0 && request.offsets.length === 0) return [];
    let bases: number[];
    try {
      bases = await this.#fill(producer, request, member);
    } catch (thrown) {
      this.#stained = true;
      await this.#abort();
      throw thrown;
    }
    await this.#end(true);
    await this.#visible();
    return bases;
  }

  async #fill(producer: Producer, { batches, offsets, group }: CommitRequest, member: Membership): Promise<number[]> {
    const { transactionalId } = this.#options;
    const identity = this.#identity;
    const base = { transactionalId, identity };
    // Both go to the transaction coordinator, over one connection, in this order.
    const added = Promise.all([
      batches.length === 0
        ? undefined
        : this.#ask(
            AddPartitionsToTxn,
            () => ({ ...base, partitions: batches }),
            (errors) => checkEach(errors, "AddPartitionsToTxn"),
          ),
      offsets.length === 0
        ? undefined
        : this.#ask(
            AddOffsetsToTxn,
            () => ({ ...base, group }),
            ({ errorCode }) => check(errorCode, "AddOffsetsToTxn"),
          ),
    ]);
    await added;
    const { cluster, lane } = this.#options;
    const commitOffsets = async (): Promise<void> => {
      if (offsets.length === 0) return;
      await cluster.callCoordinator(
        "group",
        group,
        lane,
        TxnOffsetCommit,
        () => ({ ...base, group, member, offsets }),
        (errors) => checkEach(errors, "TxnOffsetCommit"),
        { deadline: this.#deadline(), longest: RETRY_MS, failed: this.#doubt },
      );
    };
    // Both must have ended, well or not, before the transaction may be.
    const [sent, committed] = await Promise.allSettled([producer.send(batches), commitOffsets()]);
    if (committed.status === "rejected") throw committed.reason;
    if (sent.status === "rejected") throw sent.reason;
    return sent.value;
  }

  /**
   * Ends the transaction. A commit whose answer was lost may or may not have happened, so it is repeated until the coordinator says
   * which: it takes a repetition for what it is, and refuses it (fenced) if it has aborted the transaction meanwhile.
   */
  async #end(commit: boolean): Promise<void> {
    const { transactionalId } = this.#options;
    const identity = this.#identity;
    const deadline = commit ? Number.POSITIVE_INFINITY : Date.now() + ABORT_MS;
    try {
      await this.#ask(
        EndTxn,
        () => ({ transactionalId, identity, commit }),
        ({ errorCode }) => check(errorCode, "EndTxn"),
        deadline,
      );
    } catch (thrown) {
      this.#stained = true;
      throw thrown;
    }
  }

  /**
   * The coordinator answers once the outcome is certain, and writes the markers that show it to readers afterwards, in a
   * millisecond or two. The port promises that what is committed can be read, and the next transaction would have to wait for it anyway.
   */
  async #visible(): Promise<void> {
    const { cluster, transactionalId, lane } = this.#options;
    const deadline = Date.now() + VISIBLE_MS;
    try {
      for (let wait = 1; Date.now() < deadline; wait = Math.min(wait * 2, 50)) {
        const { errorCode, state } = await cluster.call(
          await cluster.coordinator("transaction", transactionalId),
          lane,
          DescribeTransactions,
          { transactionalId },
        );
        if (errorCode !== CODE.none || state !== "PrepareCommit") return;
        await sleep(wait);
      }
    } catch {
      // It is committed; that it cannot be seen yet does no harm.
    }
  }

  /** Best effort, so that readers need not wait for it to time out: renewing the epoch before the next commit aborts it too. */
  async #abort(): Promise<void> {
    await this.#end(false).catch((thrown: unknown) => {
      if (thrown instanceof BrokerError && thrown.fenced)
        this.#fenced = toKeyfold(thrown, `Transaction of ${this.#options.transactionalId}`);
    });
  }

  async #ask<Q, A>(
    api: Api<Q, A>,
    request: () => Q,
    read: (answer: A) => void,
    deadline = this.#deadline(),
    signal?: AbortSignal,
  ): Promise<A> {
    const { cluster, transactionalId, lane } = this.#options;
    return cluster.callCoordinator("transaction", transactionalId, lane, api, request, read, {
      deadline,
      longest: RETRY_MS,
      failed: this.#doubt,
      ...(signal === undefined ? {} : { signal }),
    });
  }

  #doubt = (thrown: unknown): void => {
    if (thrown instanceof LinkError) this.#stained = true;
  };

  #deadline(): number {
    return Date.now() + this.#options.unavailableAfterMs;
  }
}

/** Throws the first error; one that is final before one that another try may mend. */
function checkEach(
  errors: readonly { readonly topic: string; readonly partition: number; readonly errorCode: number }[],
  request: string,
): void {
  const failed = errors
    .filter(({ errorCode }) => errorCode !== CODE.none)
    .map(({ topic, partition, errorCode }) => new BrokerError(errorCode, `${request} of ${topic}-${partition}`))
    .sort((a, b) => Number(a.retriable) - Number(b.retriable));
  if (failed[0] !== undefined) throw failed[0];
}
