import { KeyfoldError } from "../errors.ts";
import { TAIL_BYTES } from "../log/embedded/append.ts";
import { letGo } from "../log/let-go.ts";
import type { Log, OutBatch } from "../log/log.ts";
import type { FromWorker, LogCall, ToWorker, WatchedAnswers } from "../worker/messages.ts";
import type { BatchingPort } from "../worker/port.ts";
import { TRANSFER_BYTES, transferable } from "../worker/requests.ts";

/** Answers one worker's calls to the embedded log, which lives in the main thread. */
export class LogServer {
  readonly #log: Log;
  readonly #port: BatchingPort<ToWorker, FromWorker>;
  /** Resolves when no append of ours to the partition is between its write and the news of its offsets. */
  readonly #settled: (topic: string, partition: number) => Promise<void> | undefined;
  readonly #answers: (answers: WatchedAnswers) => void;
  readonly #fetches = new Map<number, AbortController>();
  readonly #writes = new Set<Promise<unknown>>();

  constructor(
    log: Log,
    port: BatchingPort<ToWorker, FromWorker>,
    settled: (topic: string, partition: number) => Promise<void> | undefined,
    answers: (answers: WatchedAnswers) => void,
  ) {
    this.#log = log;
    this.#port = port;
    this.#settled = settled;
    this.#answers = answers;
  }

  serve(request: number, call: LogCall): void {
    this.#run(request, call).catch((thrown: unknown) => {
      this.#fetches.delete(request);
      this.#port.send({ kind: "answer", request, error: KeyfoldError.from(thrown).toWire() });
    });
  }

  abort(request: number): void {
    this.#fetches.get(request)?.abort();
    this.#fetches.delete(request);
  }

  /** Resolves when no append or commit is on its way into the log. */
  async settled(): Promise<void> {
    while (this.#writes.size > 0) await Promise.race(this.#writes);
  }

  close(): void {
    for (const fetch of this.#fetches.values()) fetch.abort();
    this.#fetches.clear();
  }

  async #run(request: number, call: LogCall): Promise<void> {
    switch (call.op) {
      case "fetch": {
        const abort = new AbortController();
        this.#fetches.set(request, abort);
        const fetched = await this.#log.fetch({ ...call.fetch, signal: abort.signal });
        this.#fetches.delete(request);
        const pending = this.#settled(call.fetch.topic, call.fetch.partition);
        if (pending !== undefined) await pending;
        const data = transferable(fetched.data);
        this.#port.send(
          { kind: "answer", request, value: { data, next: fetched.next, end: fetched.end } },
          data.byteLength > TRANSFER_BYTES ? [data.buffer] : undefined,
        );
        return;
      }
      case "append": {
        const bases = await this.#written(this.#log.append(call.batches));
        letGoOf(call.batches);
        return this.#reply(request, bases);
      }
      case "commit": {
        const bases = await this.#written(this.#log.commit(call.commit));
        letGoOf(call.commit.batches);
        if (call.answers === undefined) return this.#reply(request, bases);
        this.#answers(call.answers);
        // Nobody waits for the worker's part now: it hears of its commit along with its next records.
        this.#port.sendLazily({ kind: "answer", request, value: bases });
        return;
      }
      case "offsets":
        return this.#reply(request, await this.#log.offsets(call.partitions));
      case "committed":
        return this.#reply(request, await this.#log.committed(call.group, call.partitions));
      case "ensureTopic":
        return this.#reply(request, await this.#log.ensureTopic(call.spec));
      case "describe":
        return this.#reply(request, await this.#log.describe(call.topic));
    }
  }

  #written(write: Promise<number[]>): Promise<number[]> {
    const settled: Promise<void> = write.then(
      () => void this.#writes.delete(settled),
      () => void this.#writes.delete(settled),
    );
    this.#writes.add(settled);
    return write;
  }

  #reply(request: number, value: unknown): void {
    this.#port.send({ kind: "answer", request, value });
  }
}

/** The worker has handed them over, and the log only keeps small ones in memory. */
function letGoOf(batches: readonly OutBatch[]): void {
  for (const { data } of batches) if (data.length > TAIL_BYTES) letGo(data);
}
