import { existsSync } from "node:fs";
import { KeyfoldError } from "../errors.ts";
import type { Log } from "../log/log.ts";
import { Checkpoint } from "../state/checkpoint.ts";
import type { IteratorRegistry } from "../state/iterators.ts";
import { StoreMetrics } from "../state/metrics.ts";
import { setAside } from "../state/open-engine.ts";
import { openStore, storeDirectory } from "../state/open-store.ts";
import type { RecordCache } from "../state/record-cache.ts";
import type { StoreSpec, TaskStore } from "../state/store.ts";
import { type RestoreListener, restoreStore } from "../task/restore.ts";
import { changelogTopic } from "../topology/names.ts";
import type { TaskLogger } from "../topology/topology.ts";

const DEFAULT_DELETE_RETENTION_MS = 24 * 60 * 60 * 1000;
/** Between two writes of `.checkpoint`: it is for people, the stores keep their own positions. */
const CHECKPOINT_INTERVAL_MS = 1_000;

export interface TaskStoresOptions {
  /** The task's directory. */
  readonly dir: string;
  readonly task: string;
  readonly partition: number;
  readonly application: string;
  readonly log: Log;
  readonly cache: RecordCache;
  readonly iterators: IteratorRegistry;
  /** Bytes of RocksDB memory for each store. */
  readonly memoryBytes: number;
  readonly stateMaxBytes: number;
  readonly freeze: boolean;
  /** Largest changelog batch; absent: the builder's own limit. */
  readonly maxBatchBytes?: number;
  readonly logger: TaskLogger;
  readonly listener: RestoreListener;
  /** Told of each store as it is opened, also anew. */
  readonly opened: (store: TaskStore) => void;
}

/** The stores of one task on this host: opened, restored from their changelogs, set aside when corrupt, checkpointed, closed. */
export class TaskStores {
  /** Those that are open, by name: the task works on this very map. */
  readonly map = new Map<string, TaskStore>();
  readonly metrics = new StoreMetrics();
  readonly #o: TaskStoresOptions;
  readonly #checkpoint: Checkpoint;
  #checkpointed = 0;
  #checkpointing: Promise<void> = Promise.resolve();

  constructor(options: TaskStoresOptions) {
    this.#o = options;
    this.#checkpoint = new Checkpoint(options.dir);
  }

  /** Opens the stores and brings them to the ends of their changelogs. */
  async open(specs: readonly StoreSpec[], signal: AbortSignal): Promise<void> {
    for (const spec of specs) {
      await this.#open(spec);
      if (spec.logged) await this.#restore(spec, signal);
    }
  }

  /** The same for stores that are in use; one that was found corrupt is set aside first. */
  async reopen(specs: readonly StoreSpec[], error: KeyfoldError, signal: AbortSignal): Promise<void> {
    await this.close();
    for (const { name } of specs)
      if (error.code === "store-corrupt" && error.details["store"] === name) await this.#setAside(name, error.message);
    await this.open(specs, signal);
  }

  async close(): Promise<void> {
    // Nobody finds a store that is closed, or being closed.
    const stores = [...this.map.values()];
    this.map.clear();
    for (const store of stores) await store.close();
  }

  /** After a commit: writes `.checkpoint` now and then. */
  committed(): void {
    const now = performance.now();
    if (now - this.#checkpointed < CHECKPOINT_INTERVAL_MS) return;
    this.#checkpointed = now;
    this.#checkpointing = this.#checkpointing.then(() => this.checkpoint());
  }

  /** Best effort: a checkpoint that cannot be written loses nothing. */
  async checkpoint(): Promise<void> {
    const { application, partition, logger, dir } = this.#o;
    const offsets = [...this.map.values()].flatMap((store) => {
      const position = store.spec.logged ? store.position() : undefined;
      return position === undefined ? [] : [{ topic: changelogTopic(application, store.name), partition, offset: position.offset }];
    });
    await this.#checkpoint
      .write(offsets)
      .catch((thrown: unknown) => logger.warn("the checkpoint could not be written", { dir, error: String(thrown) }));
  }

  /** Resolves when no write of `.checkpoint` is under way. */
  async settled(): Promise<void> {
    await this.#checkpointing;
  }

  async #open(spec: StoreSpec): Promise<void> {
    const { dir, task, cache, iterators, memoryBytes, stateMaxBytes, freeze, maxBatchBytes, logger, opened } = this.#o;
    const changelogEnd = spec.logged ? await this.#changelogEnd(spec) : undefined;
    const store = await openStore(spec, {
      dir,
      task,
      cache,
      iterators,
      memoryBytes,
      stateMaxBytes,
      now: Date.now,
      ...(changelogEnd === undefined ? {} : { changelogEnd }),
      deleteRetentionMs: Number(spec.changelog["delete.retention.ms"] ?? DEFAULT_DELETE_RETENTION_MS),
      freeze,
      ...(maxBatchBytes === undefined ? {} : { maxBatchBytes }),
      metrics: this.metrics,
      onNotice: ({ message, ...fields }) => logger.warn(message, fields),
    });
    this.map.set(spec.name, store);
    opened(store);
  }

  async #changelogEnd({ name }: StoreSpec): Promise<number | undefined> {
    const { application, partition, log } = this.#o;
    return (await log.offsets([{ topic: changelogTopic(application, name), partition }]))[0]?.end;
  }

  async #restore(spec: StoreSpec, signal: AbortSignal): Promise<void> {
    const { application, partition, log, listener } = this.#o;
    const topic = changelogTopic(application, spec.name);
    const run = (): ReturnType<typeof restoreStore> => {
      const store = this.map.get(spec.name);
      if (store === undefined) throw new KeyfoldError("internal", `store ${spec.name} is not open`);
      return restoreStore(store, { log, topic, partition, signal, listener });
    };
    const unusable = await run();
    if (unusable === undefined) return;
    await this.map.get(spec.name)?.close();
    await this.#setAside(spec.name, unusable);
    await this.#open(spec);
    await run();
  }

  async #setAside(store: string, reason: string): Promise<void> {
    const { task, logger } = this.#o;
    const dir = storeDirectory(this.#o.dir, store);
    if (!existsSync(dir)) return;
    await setAside({ dir, store, task }, reason, { now: Date.now, onNotice: ({ message, ...fields }) => logger.warn(message, fields) });
  }
}
