import type { ResolvedConfig } from "../config/resolved.ts";
import { KeyfoldError } from "../errors.ts";
import type { Log } from "../log/log.ts";
import { partitionOf } from "../log/partitioner.ts";
import { decodeBatches } from "../log/record-batch.ts";
import type { Query, WorkerStatus } from "../worker/messages.ts";
import type { Page } from "../worker/queries.ts";
import type { GetQuery, HostApi, HostInfo, ListQuery, Position, TaskInfo } from "./api.ts";
import type { Appender } from "./appender.ts";
import { storeSubtopology } from "./engine.ts";
import type { Fleet } from "./fleet.ts";
import type { FunctionGroup } from "./function-group.ts";
import { type HostedFunction, waitingOf } from "./functions.ts";
import type { Invoker } from "./invoker.ts";
import type { LiveQueries } from "./live-queries.ts";
import { cursorOf, keyOf, mergePages, PAGE_BYTES } from "./pages.ts";
import { taskId } from "./placement.ts";
import { tailRecord } from "./tail.ts";
import { ensureUserTopic, isInternalTopic, type Partitions } from "./topics.ts";
import { within } from "./within.ts";
import type { WorkerSlot } from "./worker-slot.ts";

export interface HostApiParts {
  readonly config: ResolvedConfig;
  readonly log: Log;
  readonly functions: ReadonlyMap<string, HostedFunction>;
  readonly partitions: Partitions;
  readonly fleet: Fleet;
  readonly appender: Appender;
  readonly invoker: Invoker;
  readonly live: LiveQueries;
  readonly scrape: Scrape;
  readonly url: () => string;
  /** The groups of the functions, where several hosts share their tasks. */
  readonly groups: ReadonlyMap<string, FunctionGroup>;
}

export type Scrape = (
  functions: readonly { name: string; version: string; state: string }[],
  workers: readonly WorkerStatus[],
) => Promise<string>;

/** HostApi over the engine's parts: finds who owns what, asks, and puts the answers of several partitions together. */
export function createHostApi(parts: HostApiParts): HostApi {
  const { config, log, functions, partitions, fleet, appender, invoker, live, scrape, url, groups } = parts;
  const hosted = (name: string): HostedFunction => {
    const fn = functions.get(name);
    if (fn === undefined)
      throw new KeyfoldError(
        "function-unknown",
        `no function ${JSON.stringify(name)}; there ${functions.size === 1 ? "is" : "are"} ${[...functions.keys()].join(", ")}`,
        { details: { function: name } },
      );
    return fn;
  };
  const up = (fn: HostedFunction): HostedFunction => {
    if (fn.error !== undefined)
      throw new KeyfoldError("task-failed", `function ${fn.name} is stopped: ${fn.error.message}`, {
        cause: fn.error,
        details: { function: fn.name },
      });
    return fn;
  };
  /** The store that key reads use, where its tasks are, and how many partitions it has. */
  const queried = (name: string) => {
    const fn = up(hosted(name));
    const store = fn.manifest.queryStore;
    if (store === undefined) throw new KeyfoldError("store-unknown", `function ${name} keeps no state to read`);
    const subtopology = storeSubtopology(fn.manifest, store);
    const sources = fn.manifest.topology.subtopologies.find(({ id }) => id === subtopology)?.sources ?? [];
    const count = Math.max(0, ...sources.filter(({ global }) => !global).map(({ topic }) => partitions.get(topic) ?? 0));
    const owner = (partition: number) => {
      const slot = fleet.owner(name, subtopology, partition);
      if (slot === undefined) throw elsewhere(name, subtopology, partition);
      return slot;
    };
    return { store, subtopology, count, owner };
  };
  /** Which host has a task, as far as it is known; this one has all where there are no groups. */
  const ownerOf = (name: string, subtopology: number, partition: number): { id: string; url: string } | undefined => {
    const group = groups.get(name);
    return group === undefined
      ? { id: config.engine["group.instance.id"] ?? "local", url: url() }
      : group.ownerOf(taskId({ function: name, subtopology, partition }));
  };
  const elsewhere = (name: string, subtopology: number, partition: number): KeyfoldError => {
    const at = groups.get(name) === undefined ? undefined : ownerOf(name, subtopology, partition);
    const where = at === undefined ? "has no worker now" : `is on host ${at.id}${at.url === "" ? "" : ` (${at.url})`}`;
    return new KeyfoldError("not-ready", `partition ${partition} of ${name} ${where}`, {
      remedy: "retry",
      ...(at === undefined ? {} : { details: { host: at } }),
    });
  };
  /** Workers end what takes too long by themselves, unless they hang: a moment later it is ended here. */
  const asked = <T>(name: string, work: Promise<T>): Promise<T> =>
    within(
      work,
      config.limits["wait.max.ms"] + 1_000,
      () =>
        new KeyfoldError(
          "timeout",
          `a worker with ${name} did not answer within ${config.limits["wait.max.ms"]} ms (limits: wait.max.ms)`,
          {
            remedy: "retry",
          },
        ),
    );
  const ask = <T>(name: string, store: string, partition: number, slot: WorkerSlot, query: Query): Promise<T> =>
    asked(name, slot.ask<T>({ kind: "query", function: name, partition, store, query }));
  const countOf = (topic: string): number | Promise<number> => partitions.get(topic) ?? ensureUserTopic(log, config, topic, partitions);

  const isInternal = (topic: string): boolean =>
    isInternalTopic(topic, config, () => [...functions.values()].map(({ manifest }) => manifest));

  return {
    config: { limits: config.limits },
    isInternal,

    functions: async () => {
      const tasks = (await fleet.statuses()).flatMap((status) => status.tasks);
      return [...functions.values()].map((fn) => {
        const { subtopologies } = fn.manifest.topology;
        return {
          name: fn.name,
          version: fn.manifest.versionId,
          state: fn.state,
          sources: [...new Set(subtopologies.flatMap((s) => s.sources.map(({ topic }) => topic)))],
          sinks: [...new Set(subtopologies.flatMap((s) => s.sinks.map(({ topic }) => topic)))],
          stores: subtopologies.flatMap((s) => s.stores.map(({ name }) => name)),
          lag: tasks.reduce((sum, task) => sum + (task.function === fn.name ? task.lag : 0), 0),
          ...(fn.error === undefined ? {} : { error: fn.error.message }),
          manifest: fn.manifest,
        };
      });
    },

    tasks: async () => {
      const workers = await fleet.statuses();
      const known = workers.flatMap(({ worker, stale, tasks }) =>
        tasks.map(
          ({ function: fn, task, state, positions, committed, lag, restore, entries }): TaskInfo => ({
            function: fn,
            task,
            worker,
            state,
            positions,
            committed,
            lag,
            entries,
            ...(restore === undefined ? {} : { restore }),
            ...(stale ? { stale } : {}),
          }),
        ),
      );
      // A worker may have begun to hang before it has said anything of a task.
      const answering = new Set(workers.filter(({ stale }) => !stale).map(({ worker }) => worker));
      const untold = fleet
        .placed()
        .filter(({ worker }) => !answering.has(worker))
        .filter((task) => !known.some((one) => one.function === task.function && one.task === task.task))
        .map((task): TaskInfo => {
          const state = functions.get(task.function)?.stateOf(task.task) ?? "CREATED";
          return { ...task, state, positions: {}, committed: {}, lag: 0, entries: {}, stale: true };
        });
      return [...known, ...untold];
    },

    topics: async () => {
      const all = await log.topics();
      return Promise.all(
        all.map(async (topic) => {
          const places = Array.from({ length: topic.partitions }, (_, partition) => ({ topic: topic.name, partition }));
          const ranges = await log.offsets(places);
          return {
            ...topic,
            internal: isInternal(topic.name),
            offsets: ranges.map(({ start, end }, partition) => ({ partition, start, end })),
          };
        }),
      );
    },

    hosts: () => {
      if (groups.size === 0) return [{ id: config.engine["group.instance.id"] ?? "local", url: url(), tasks: fleet.taskCount }];
      const all = new Map<string, HostInfo>();
      for (const group of groups.values()) {
        for (const host of group.hosts()) all.set(host.id, { ...host, tasks: host.tasks + (all.get(host.id)?.tasks ?? 0) });
      }
      return [...all.values()];
    },

    append: async (topic, records) => {
      const count = await countOf(topic);
      return Promise.all(
        records.map((record) => new Promise<Position>((resolve, reject) => appender.append(topic, count, record, resolve, reject))),
      );
    },

    invoke: (name, key, event, wait) => {
      const fn = up(hosted(name));
      const invoke = fn.manifest.invoke;
      if (invoke === undefined)
        throw new KeyfoldError(
          "bad-request",
          `function ${name} cannot be invoked: it keeps windows, or no state one step from its source; append to its topic instead`,
        );
      const subtopology = storeSubtopology(fn.manifest, invoke.store);
      const partition = partitionOf(key, partitions.get(invoke.topic) ?? 1);
      // Somebody else would process it, and could not tell us the result.
      if (
        groups.get(name)?.ownerOf(taskId({ function: name, subtopology, partition })) !== undefined &&
        fleet.owner(name, subtopology, partition) === undefined
      ) {
        throw elsewhere(name, subtopology, partition);
      }
      return invoker.invoke({ function: name, topic: invoke.topic, partitions: partitions.get(invoke.topic) ?? 1, key, event, wait });
    },

    get: async (name, key, query: GetQuery) => {
      const { store, count, owner } = queried(name);
      const partition = partitionOf(key, count);
      if (query.atLeast !== undefined && query.atLeast.partition !== partition) {
        throw new KeyfoldError(
          "bad-request",
          `at-least names partition ${query.atLeast.partition}, but key ${JSON.stringify(key)} is in partition ${partition}${hosted(name).manifest.invoke === undefined ? ` of what feeds the state of ${name}, which is not the topic that was appended to` : ""}`,
        );
      }
      return ask<string | undefined>(name, store, partition, owner(partition), { kind: "get", key, query });
    },

    list: async (name, query: ListQuery) => {
      const { store, count, owner } = queried(name);
      const after = query.cursor === undefined ? query : { ...query, cursor: keyOf(query.cursor) };
      const maxBytes = Math.ceil(PAGE_BYTES / Math.max(1, count));
      const pages = await Promise.all(
        Array.from({ length: count }, (_, partition) =>
          ask<Page>(name, store, partition, owner(partition), { kind: "list", query: after, maxBytes }),
        ),
      );
      const { items, last, more } = mergePages(pages, query.limit);
      return { items, cursor: more && last !== undefined ? cursorOf(last) : null };
    },

    count: async (name, query) => {
      const { store, count, owner } = queried(name);
      const counts = await Promise.all(
        Array.from({ length: count }, (_, partition) => ask<number>(name, store, partition, owner(partition), { kind: "count", query })),
      );
      return counts.reduce((sum, one) => sum + one, 0);
    },

    metadata: (name, key) => {
      const { subtopology, count } = queried(name);
      const partition = partitionOf(key, count);
      return { partition, active: ownerOf(name, subtopology, partition) ?? null, standbys: [] };
    },

    live: (name, key, listener) => {
      queried(name);
      return live.subscribe(name, key, listener);
    },

    route: (name, request) => {
      const fn = up(hosted(name));
      if (!fn.manifest.hasRoutes) throw new KeyfoldError("not-found", `function ${name} exports no routes`);
      const slot = fleet.anyOf(name);
      if (slot === undefined) throw new KeyfoldError("not-ready", `function ${name} has no worker now`, { remedy: "retry" });
      return asked(name, slot.route(name, request));
    },

    read: async (topic, partition, position, maxWaitMs) => {
      const fetched = await log.fetch({ topic, partition, position, maxBytes: 1024 * 1024, maxWaitMs });
      const batch = decodeBatches(fetched.data, { from: position });
      return {
        records: Array.from({ length: batch.length }, (_, i) => tailRecord(topic, partition, batch, i)),
        next: fetched.next,
        end: fetched.end,
      };
    },

    unhealthy: () => [
      ...fleet.unhealthy(),
      ...[...functions.values()].flatMap((fn) => (fn.error === undefined ? [] : [`function ${fn.name}: ${fn.error.message}`])),
    ],

    notReady: () => [...fleet.silent(), ...waitingOf(functions.values())],

    metrics: async () =>
      scrape(
        [...functions.values()].map((fn) => ({ name: fn.name, version: fn.manifest.versionId, state: fn.state })),
        await fleet.statuses(),
      ),
  };
}
