import { durationMs } from "../define/duration.ts";
import type { GraphNode } from "../define/graph.ts";
import type { StoreOptions } from "../define/stores.ts";
import type { WindowSpec } from "../define/windows.ts";
import { KeyfoldError } from "../errors.ts";
import type { StoreLayout, StoreSpec } from "../state/store.ts";
import { isMarks } from "../state/windowed/marks.ts";
import { ownStore } from "./materialize.ts";
import type { Plan } from "./plan.ts";
import { storeSpec } from "./store-spec.ts";

/** A store and the subtopology whose tasks have it; "global": every subtopology that looks something up in it. */
export interface PlacedStore {
  readonly spec: StoreSpec;
  readonly node: GraphNode;
  readonly subtopology: number | "global";
  /** Holds rows or windows that people may read. */
  readonly visible: boolean;
}

/** Names of what a step keeps besides its rows. */
export const storeNames = {
  closing: (step: string): string => `${step}-closing`,
  left: (step: string): string => `${step}-left`,
  right: (step: string): string => `${step}-right`,
  unmatched: (step: string): string => `${step}-unmatched`,
  held: (step: string): string => `${step}-held`,
  expiry: (step: string): string => `${step}-expiry`,
  subscriptions: (step: string): string => `${step}-subscriptions`,
};

export function placeStores(plan: Plan, functionName: string): PlacedStore[] {
  const placed: PlacedStore[] = [];
  for (const node of plan.nodes) placed.push(...storesOf(node, plan));
  const owners = new Set<string>();
  for (const { spec } of placed) {
    if (owners.has(spec.name)) {
      throw new KeyfoldError(
        "topology-invalid",
        `function "${functionName}": two stores would both be called "${spec.name}"; name one of the steps otherwise`,
        {
          details: { function: functionName, store: spec.name },
        },
      );
    }
    owners.add(spec.name);
  }
  return placed;
}

function storesOf(node: GraphNode, plan: Plan): PlacedStore[] {
  const { step } = node;
  const name = plan.nameOf(node);
  const options = ownStore(node) ?? {};
  const here = plan.outputOf(node);
  const rows = (): PlacedStore => ({
    spec: { ...rowStore(name, options), ...(plan.tables.lookedUp(node) ? { tellAll: true } : {}) },
    node,
    subtopology: here,
    visible: true,
  });
  const buffer = (bufferName: string, subtopology = here, retentionMs?: number): PlacedStore => ({
    spec: bufferSpec(bufferName, { logged: options.logged ?? true }, retentionMs),
    node,
    subtopology,
    visible: false,
  });
  switch (step.op) {
    case "global-table":
      return [
        {
          spec: { ...storeSpec(name, { engine: { kind: "memory" }, ...options, logged: false, cached: false }) },
          node,
          subtopology: "global",
          visible: true,
        },
      ];
    case "table":
    case "to-table":
    case "table-filter":
    case "table-map-values":
    case "table-join":
    case "table-aggregate":
      return plan.tables.stored(node) ? [rows()] : [];
    case "aggregate": {
      const { window } = step;
      if (window === undefined) return step.ttl === undefined ? [rows()] : [rows(), buffer(storeNames.expiry(name))];
      const store: PlacedStore = { spec: windowSpec(name, options, window), node, subtopology: here, visible: true };
      const indexed = step.emit === "on-window-close" && window.kind !== "time";
      return indexed ? [store, buffer(storeNames.closing(name), here, window.retentionMs)] : [store];
    }
    case "suppress":
      return [buffer(name)];
    case "stream-join": {
      const retentionMs = Math.max(1, step.beforeMs + step.afterMs + step.graceMs);
      const sides = [buffer(storeNames.left(name), here, retentionMs), buffer(storeNames.right(name), here, retentionMs)];
      return step.how === "inner" ? sides : [...sides, buffer(storeNames.unmatched(name))];
    }
    case "stream-table-join":
      return step.graceMs === undefined ? [] : [buffer(storeNames.held(name))];
    case "foreign-key-join":
      return [rows(), buffer(storeNames.subscriptions(name), plan.subtopologyOf(node, 1))];
    case "process":
      return Object.entries(step.stores).map(([key, store]) => ({
        spec: rowStore(store.name ?? key, store),
        node,
        subtopology: here,
        visible: true,
      }));
    default:
      return [];
  }
}

function rowStore(name: string, options: StoreOptions): StoreSpec {
  if (options.history === undefined) return storeSpec(name, options, options);
  const historyMs = durationMs(options.history, `store "${name}": history`);
  // A put reads what was there before, and updates go out at once: a cache would only be in the way.
  return { ...storeSpec(name, { ...options, cached: false }, migrating(options, migrateRow)), layout: { kind: "versioned", historyMs } };
}

function windowSpec(name: string, options: StoreOptions, window: WindowSpec): StoreSpec {
  const { retentionMs } = window;
  const layout: StoreLayout =
    window.kind === "time"
      ? { kind: "time-windows", sizeMs: window.sizeMs, advanceMs: window.advanceMs, retentionMs }
      : window.kind === "sliding"
        ? { kind: "sliding-windows", diffMs: window.diffMs, retentionMs }
        : { kind: "sessions", retentionMs };
  return { ...storeSpec(name, options, { ...migrating(options, (fn) => fn), retentionMs }), layout };
}

/** Buffers go without a cache: what comes out of them depends on the order in which it went in. */
function bufferSpec(name: string, options: StoreOptions, retentionMs: number | undefined): StoreSpec {
  return {
    ...storeSpec(name, { ...options, cached: false }, retentionMs === undefined ? {} : { retentionMs }),
    layout: { kind: "buffer" },
  };
}

type Migration = (state: unknown) => unknown;

/** Migrations that leave an operator's marks alone. */
function migrating(options: StoreOptions, wrap: (fn: Migration) => Migration): Pick<StoreOptions, "schemaVersion" | "migrate"> {
  const { schemaVersion, migrate } = options;
  return {
    ...(schemaVersion === undefined ? {} : { schemaVersion }),
    ...(migrate === undefined
      ? {}
      : {
          migrate: Object.fromEntries(
            Object.entries(migrate).map(([from, fn]) => {
              const wrapped = wrap(fn);
              return [from, (state: unknown) => (isMarks(state) ? state : wrapped(state))];
            }),
          ),
        }),
  };
}

/** A versioned store's rows hold the value with the time at which it was replaced. */
function migrateRow(fn: Migration): Migration {
  return (row) => {
    const [value, ...rest] = row as readonly unknown[];
    return [value === null ? null : fn(value), ...rest];
  };
}
