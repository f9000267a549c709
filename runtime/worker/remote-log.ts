import type { Transferable } from "node:worker_threads";
import { KeyfoldError } from "../errors.ts";
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
} from "../log/log.ts";
import type { LogCall, WatchedAnswers } from "./messages.ts";
import { type Requests, TRANSFER_BYTES, transferable } from "./requests.ts";

/** The embedded log as a worker sees it: the same port, each call a message to the main thread, which owns the log. */
export class RemoteLog implements Log {
  readonly kind = "embedded";
  readonly #requests: Requests;
  readonly #send: (request: number, call: LogCall, transfer?: readonly Transferable[]) => void;
  readonly #abort: (request: number) => void;

  constructor(
    requests: Requests,
    send: (request: number, call: LogCall, transfer?: readonly Transferable[]) => void,
    abort: (request: number) => void,
  ) {
    this.#requests = requests;
    this.#send = send;
    this.#abort = abort;
  }

  fetch(request: FetchRequest): Promise<Fetched> {
    const { signal, ...fetch } = request;
    const number = this.#requests.upcoming;
    const answer = this.#ask<Fetched>({ op: "fetch", fetch });
    if (signal !== undefined) {
      const abort = (): void => this.#abort(number);
      signal.addEventListener("abort", abort, { once: true });
      const stop = (): void => signal.removeEventListener("abort", abort);
      answer.then(stop, stop);
    }
    return answer;
  }

  append(batches: readonly OutBatch[]): Promise<number[]> {
    const { owned, transfer } = handOver(batches);
    return this.#ask({ op: "append", batches: owned }, transfer);
  }

  commit(request: CommitRequest, answers?: WatchedAnswers): Promise<number[]> {
    const { owned, transfer } = handOver(request.batches);
    return this.#ask({ op: "commit", commit: { ...request, batches: owned }, ...(answers === undefined ? {} : { answers }) }, transfer);
  }

  offsets(partitions: readonly TopicPartition[]): Promise<OffsetRange[]> {
    return this.#ask({ op: "offsets", partitions });
  }

  committed(group: string, partitions: readonly TopicPartition[]): Promise<(OffsetCommit | undefined)[]> {
    return this.#ask({ op: "committed", group, partitions });
  }

  ensureTopic(spec: TopicSpec): Promise<TopicDescription> {
    return this.#ask({ op: "ensureTopic", spec });
  }

  describe(topic: string): Promise<TopicDescription | undefined> {
    return this.#ask({ op: "describe", topic });
  }

  topics(): Promise<TopicDescription[]> {
    return Promise.reject(notFromWorker("topics"));
  }

  deleteTopic(_topic: string): Promise<void> {
    return Promise.reject(notFromWorker("deleteTopic"));
  }

  deleteGroup(_group: string): Promise<void> {
    return Promise.reject(notFromWorker("deleteGroup"));
  }

  async close(): Promise<void> {}

  #ask<T>(call: LogCall, transfer?: readonly Transferable[]): Promise<T> {
    return this.#requests.ask((request) => this.#send(request, call, transfer));
  }
}

function handOver(batches: readonly OutBatch[]): { owned: OutBatch[]; transfer: ArrayBuffer[] } {
  const owned: OutBatch[] = [];
  const transfer: ArrayBuffer[] = [];
  for (const batch of batches) {
    const data = transferable(batch.data);
    if (data.byteLength > TRANSFER_BYTES) transfer.push(data.buffer);
    owned.push({ topic: batch.topic, partition: batch.partition, count: batch.count, data });
  }
  return { owned, transfer };
}

function notFromWorker(call: string): KeyfoldError {
  return new KeyfoldError("internal", `${call} is the main thread's business`, { remedy: "fatal" });
}
