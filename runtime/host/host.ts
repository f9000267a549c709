import { readManifests } from "../bundle/build-dir.ts";
import type { Manifest } from "../bundle/manifest.ts";
import type { ResolvedConfig } from "../config/resolved.ts";
import { KeyfoldError } from "../errors.ts";
import { createInternalApp } from "../http/internal-app.ts";
import { createPublicApp } from "../http/public-app.ts";
import { type Listening, listen } from "../http/server.ts";
import type { Log } from "../log/log.ts";
import { createLogger, type Logger } from "../observe/logger.ts";
import { createMetrics } from "../observe/metrics.ts";
import type { RestoreEvent } from "../worker/messages.ts";
import type { HostApi } from "./api.ts";
import { Engine } from "./engine.ts";
import type { FunctionState } from "./functions.ts";
import { openHostLog } from "./open-log.ts";

export interface HostOptions {
  readonly logger?: Logger;
  /** Kafka Streams' state listener, per function: CREATED, REBALANCING, RUNNING, PENDING_SHUTDOWN, NOT_RUNNING, ERROR. */
  readonly onStateChange?: (fn: string, next: FunctionState, previous: FunctionState) => void;
  /** Kafka Streams' restore listener; `kind` tells onRestoreStart (with startingOffset), onBatchRestored and onRestoreEnd apart. */
  readonly onRestore?: (event: RestoreEvent) => void;
  /** false: no HTTP listeners (tests, embedding). */
  readonly http?: boolean;
}

export interface RunningHost {
  readonly api: HostApi;
  readonly publicUrl: string;
  readonly internalUrl: string;
  /** Resolves when every task runs. */
  readonly running: Promise<void>;
  /** Puts a new build of a function in place, or adds it; state is kept. */
  swap(manifest: Manifest): Promise<void>;
  /** Stops a function whose file is gone; its state and topics stay. */
  remove(fn: string): Promise<void>;
  /** The log itself, for programs that embed a host and commit their own offsets along with what they append. */
  readonly log: Log;
  /**
   * Commits everything and lets go of all it holds. Calling twice is harmless. Resolves to whether the last commit was made: where the log
   * does not answer (`stop.max.ms`), the host stops without, and the next start goes on from the commit before.
   */
  stop(): Promise<boolean>;
}

/**
 * Starts a host: log, functions (from the manifests in `buildDir`), workers, HTTP. The only place that wires parts together.
 * Order of closing: HTTP stops taking requests, workers commit and close their stores, the log closes last.
 */
export async function startHost(config: ResolvedConfig, options: HostOptions = {}): Promise<RunningHost> {
  const logger = options.logger ?? createLogger({ level: config.logLevel });
  const manifests = readManifests(config.buildDir);
  if (manifests.length === 0)
    throw new KeyfoldError("function-unknown", `no built function in ${config.buildDir}; run \`keyfold build\` first`);
  const standbys = config.engine["num.standby.replicas"];
  if (standbys > 0) logger.warn({ "num.standby.replicas": standbys }, "standbys are not there yet: no copies of stores are kept");
  const { log, join } = await openHostLog(config, logger);
  const metrics = createMetrics();
  const engine = new Engine({
    config,
    log,
    logger,
    ...(join === undefined ? {} : { join }),
    scrape: async (functions, workers) => {
      metrics.functions(functions);
      metrics.workers(workers);
      metrics.log(
        log.kind,
        log.metrics(),
        workers.flatMap((status) => (status.log === undefined ? [] : [{ worker: status.worker, log: status.log }])),
      );
      return metrics.text();
    },
    onRestore: (event) => {
      if (event.kind === "batch") metrics.restored(event.function, event.store, event.records);
      options.onRestore?.(event);
    },
    ...(options.onStateChange === undefined ? {} : { onStateChange: options.onStateChange }),
  });
  const listeners: Listening[] = [];
  let open: () => void = () => {};
  const ready = new Promise<void>((resolve) => (open = resolve));
  let stopping: Promise<boolean> | undefined;
  const stop = (): Promise<boolean> => {
    stopping ??= (async () => {
      await Promise.all(listeners.map((listener) => listener.close()));
      const committed = await engine.close();
      await log.close();
      metrics.close();
      return committed;
    })();
    return stopping;
  };
  try {
    // The ports before the tasks: where one is taken, nothing has begun.
    if (options.http !== false) {
      const { port, host, internalPort, internalHost } = config.http;
      const http = {
        stats: metrics.route,
        report: (error: unknown, reference: string) => logger.error({ err: error, reference }, "a request failed for a reason of ours"),
      };
      const publicApp = createPublicApp(engine.api, http);
      metrics.live(publicApp.live);
      listeners.push(await listen(publicApp, { port, host, flag: "--port", ready }));
      listeners.push(
        await listen(createInternalApp(engine.api, http), {
          port: internalPort,
          host: internalHost,
          flag: "--internal-port",
          loopbackOnly: true,
          ready,
        }),
      );
    }
    await engine.start(manifests);
    open();
  } catch (thrown) {
    // Requests that wait are not answered any more.
    await Promise.all(listeners.map((listener) => listener.close(0)));
    await stop();
    throw thrown;
  }
  const [publicListener, internalListener] = listeners;
  engine.setUrl(publicListener?.url ?? "");
  return {
    api: engine.api,
    log,
    publicUrl: publicListener?.url ?? "",
    internalUrl: internalListener?.url ?? "",
    running: engine.running(),
    swap: (manifest) => engine.swap(manifest),
    remove: (fn) => engine.remove(fn),
    stop,
  };
}
