import type { FromWorker } from "./messages.ts";

/**
 * What a function let go of must not end the thread, and the other functions in it: a promise that nobody awaits, a callback of a
 * timer. It belongs to no record, so that no policy applies; it is logged. Errors of ours end the thread, as ever: it is replaced.
 */
export function logStrays(send: (message: FromWorker) => void): void {
  process.on("uncaughtException", (thrown: unknown) => {
    const fn = strayOf(thrown);
    if (fn === undefined) throw thrown;
    const [text, stack] = thrown instanceof Error ? [thrown.message, thrown.stack] : [String(thrown), undefined];
    send({
      kind: "notice",
      level: "error",
      message:
        "a function failed outside of any event: it left a promise alone, or threw in a callback; the record it came from counts as processed",
      fields: { ...(fn === "" ? {} : { function: fn }), error: text, ...(stack === undefined ? {} : { stack }) },
    });
  });
}

/** The function an error comes from, empty where it is some function's; undefined for errors of ours. */
function strayOf(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error) || ("code" in thrown && thrown.code === "ERR_UNHANDLED_REJECTION")) return "";
  const [, fn] = /\/([^/\s]+)\/bundle\.mjs\b/.exec(thrown.stack ?? "") ?? [];
  // Nothing in a worker but a function's code fetches; what fetch rejects with has no stack.
  return fn ?? (thrown instanceof TypeError && thrown.message === "fetch failed" ? "" : undefined);
}
