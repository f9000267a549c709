import { existsSync } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { KeyfoldError } from "../errors.ts";
import { inspectDirectory, writeFormat } from "./format.ts";
import type { StateStore, StoreContext } from "./store.ts";

/** Something about a store that its owner should be told: where it went, why, and what follows. */
export interface StoreNotice {
  readonly kind: "set-aside" | "expired";
  readonly store: string;
  readonly task: string;
  readonly message: string;
  /** Where the old directory is now (set-aside only). */
  readonly movedTo?: string;
}

export interface OpenEngineOptions {
  readonly create: () => StateStore;
  /** A look at the directory of the engine's own; the reason why it cannot be opened by anybody, or undefined. */
  readonly inspect?: (dir: string) => Promise<string | undefined>;
  readonly now: () => number;
  /** Undefined: there is no changelog, nothing is ever thrown away for its age. */
  readonly deleteRetentionMs: number | undefined;
  /** Where the changelog ends. A store that is there has missed no deletion, however old it is. */
  readonly changelogEnd?: number;
  readonly onNotice: (notice: StoreNotice) => void;
}

/**
 * Opens an engine. Proven corruption sets the directory aside, under another name and never deleted, and opens an empty
 * store, to be restored from the changelog. A store that was left alone for longer than tombstones live is emptied.
 */
export async function openEngine(context: StoreContext, options: OpenEngineOptions): Promise<StateStore> {
  const engine = options.create();
  if (!engine.persistent) {
    await engine.open(context);
    return engine;
  }
  const reason = (await inspectDirectory(context)) ?? (await options.inspect?.(context.dir));
  if (reason !== undefined) await setAside(context, reason, options);
  await writeFormat(context.dir);
  const opened = await openOrSetAside(engine, context, options);
  return expired(opened, options) ? await reopenEmpty(opened, context, options) : opened;
}

async function openOrSetAside(engine: StateStore, context: StoreContext, options: OpenEngineOptions): Promise<StateStore> {
  try {
    await engine.open(context);
    return engine;
  } catch (thrown) {
    await engine.close();
    if (!(thrown instanceof KeyfoldError) || thrown.code !== "store-corrupt") throw thrown;
    await setAside(context, thrown.message, options);
    await writeFormat(context.dir);
    const fresh = options.create();
    await fresh.open(context);
    return fresh;
  }
}

/**
 * Renames a store's directory to `<dir>.corrupt-<time>`. Also for corruption found while the store was in use: close it,
 * set it aside, open it again.
 */
export async function setAside(
  context: Pick<StoreContext, "dir" | "store" | "task">,
  reason: string,
  { now, onNotice }: Pick<OpenEngineOptions, "now" | "onNotice">,
): Promise<string> {
  const time = new Date(now()).toISOString().replaceAll(/[-:.]/g, "");
  let movedTo = `${context.dir}.corrupt-${time}`;
  for (let n = 2; existsSync(movedTo); n++) movedTo = `${context.dir}.corrupt-${time}-${n}`;
  await rename(context.dir, movedTo);
  const { store, task } = context;
  onNotice({
    kind: "set-aside",
    store,
    task,
    movedTo,
    message: `Store "${store}" of task ${task} cannot be used and was set aside as ${movedTo}: ${reason}. It is restored from its changelog; the old directory may be deleted once nobody wants to look at it.`,
  });
  return movedTo;
}

/** The last offset of a changelog may be a transaction's marker, and if it is a record, then compaction has not had it yet. */
const NEVER_COMPACTED = 1;

function expired(engine: StateStore, { deleteRetentionMs, changelogEnd, now }: OpenEngineOptions): boolean {
  const position = engine.position();
  if (deleteRetentionMs === undefined || position === undefined) return false;
  if (changelogEnd !== undefined && position.offset + NEVER_COMPACTED >= changelogEnd) return false;
  // Of the future: the clock was wrong then, and says nothing.
  return Math.abs(now() - position.at) > deleteRetentionMs;
}

async function reopenEmpty(engine: StateStore, context: StoreContext, options: OpenEngineOptions): Promise<StateStore> {
  const at = engine.position()?.at ?? 0;
  await engine.close();
  await rm(context.dir, { recursive: true, force: true });
  await writeFormat(context.dir);
  const fresh = options.create();
  await fresh.open(context);
  const { store, task } = context;
  options.onNotice({
    kind: "expired",
    store,
    task,
    message: `Store "${store}" of task ${task} was last used at ${new Date(at).toISOString()}, longer ago than its changelog's delete.retention.ms (${options.deleteRetentionMs} ms): deletions since then may be gone from the changelog, so it is restored from the beginning.`,
  });
  return fresh;
}
