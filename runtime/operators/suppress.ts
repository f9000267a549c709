import type { SuppressUntil } from "../define/graph.ts";
import { parseWindowedKey } from "../define/windowed-key.ts";
import { KeyfoldError } from "../errors.ts";
import type { SuppressBuffer } from "../state/windowed/suppress-buffer.ts";
import type { Flushing, RowView, TableTarget } from "./targets.ts";

export interface SuppressOptions {
  readonly name: string;
  readonly until: SuppressUntil;
  /** How long past an entry's time (its window's end, or its first update) it waits. */
  readonly waitMs: number;
}

/** Holds a table's updates back; of those of one key only the latest comes out, in the place of the first. */
export class SuppressUpdates implements TableTarget, Flushing {
  readonly #options: SuppressOptions;
  readonly #buffer: SuppressBuffer;
  readonly #next: TableTarget;

  constructor(options: SuppressOptions, buffer: SuppressBuffer, next: TableTarget) {
    this.#options = options;
    this.#buffer = buffer;
    this.#next = next;
  }

  update(key: string, value: unknown, old: unknown, timestamp: number): void {
    const { until, waitMs } = this.#options;
    const streamTime = this.#buffer.marks.raise("streamTime", timestamp);
    this.#buffer.put(key, until.kind === "window-closes" ? windowEnd(key) : timestamp, value, old, timestamp);
    while (this.#buffer.earliest <= streamTime - waitMs) this.#emitFirst();
    if (!this.#buffer.over(until.maxRecords, until.maxBytes)) return;
    if (until.whenFull === "fail") {
      throw new KeyfoldError(
        "limit-exceeded",
        `suppress "${this.#options.name}" holds ${this.#buffer.records} records of about ${this.#buffer.bytes} bytes, above its limit (maxRecords ${until.maxRecords ?? "none"}, maxBytes ${until.maxBytes ?? "none"})`,
        { details: { step: this.#options.name, records: this.#buffer.records, bytes: this.#buffer.bytes } },
      );
    }
    while (this.#buffer.over(until.maxRecords, until.maxBytes)) this.#emitFirst();
  }

  beforeFlush(): void {
    this.#buffer.beforeFlush();
  }

  #emitFirst(): void {
    const first = this.#buffer.takeFirst();
    if (first === undefined) return;
    // A window that ended up without a result never had one for those downstream.
    if (first.value === null && this.#options.until.kind === "window-closes") return;
    this.#next.update(first.key, first.value, first.before, first.timestamp, true);
  }
}

/** The table as those downstream know it: what was last emitted. */
export function suppressView(buffer: SuppressBuffer, parent: RowView): RowView {
  return {
    get(key) {
      const held = buffer.get(key);
      if (held === undefined) return parent.get(key);
      return held.before === null ? undefined : { value: held.before, timestamp: -1 };
    },
  };
}

function windowEnd(key: string): number {
  const window = parseWindowedKey(key);
  if (window === undefined)
    throw new KeyfoldError("topology-invalid", `suppress until the window closes: ${JSON.stringify(key)} is not a windowed key`);
  return window.end;
}
