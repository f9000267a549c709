import type { Headers, RecordBatch } from "../log/record-batch.ts";
import type { Watch } from "../task/input.ts";

/**
 * On a log whose records can be read before their writer hears of their offsets, an invoked event carries with it who waits for
 * it: `<token of the host's run> <id> <wait> <function>`. Functions never see the header.
 */
export const INVOKE_HEADER = "keyfold-invoke";

export function invokeHeader(token: string, id: number, wait: Watch["wait"], fn: string): string {
  return `${token} ${id} ${wait} ${fn}`;
}

/** Tells `watch` of the records that somebody waits for, and returns the batch without their headers. */
export function takeInvokes(batch: RecordBatch, token: string, fn: string, watch: (offset: number, watch: Watch) => void): RecordBatch {
  let headers: (Headers | null)[] | undefined;
  batch.headers?.forEach((all, i) => {
    const value = all?.find(([name]) => name === INVOKE_HEADER)?.[1];
    if (!all || value === undefined) return;
    headers ??= [...(batch.headers ?? [])];
    const rest = all.filter(([name]) => name !== INVOKE_HEADER);
    headers[i] = rest.length === 0 ? null : rest;
    const [whose, id, wait, ...name] = Buffer.from(value ?? [])
      .toString("utf8")
      .split(" ");
    if (whose !== token || name.join(" ") !== fn) return;
    watch(batch.offsets[i] ?? 0, { id: Number(id), wait: wait === "processed" ? "processed" : "committed" });
  });
  return headers === undefined ? batch : { ...batch, headers };
}
