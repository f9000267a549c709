import { KeyfoldError } from "../errors.ts";
import { type Duration, durationMs } from "./duration.ts";

const DAY = 86_400_000;

interface WindowOptions {
  /** How long a window still takes late records after its end (stream time). Default 0. */
  readonly grace?: Duration;
  /** How long windows are kept and can be read. Default one day, or size + grace where that is longer. */
  readonly retention?: Duration;
}

interface Kept {
  readonly graceMs: number;
  readonly retentionMs: number;
}

export type TimeWindows = Kept & { readonly kind: "time"; readonly sizeMs: number; readonly advanceMs: number };
export type SlidingWindows = Kept & { readonly kind: "sliding"; readonly diffMs: number };
export type SessionWindows = Kept & { readonly kind: "session"; readonly gapMs: number };

/** Plain data, all times in ms. */
export type WindowSpec = TimeWindows | SlidingWindows | SessionWindows;

/** Windows of a fixed size, one after another, aligned to the epoch: [start, start + size). */
export function tumbling(size: Duration, options: WindowOptions = {}): TimeWindows {
  const sizeMs = positive(size, "tumbling: size");
  return timeWindows("tumbling", sizeMs, sizeMs, options);
}

/** Windows of a fixed size that start every `advance`, so that each record is in several: [start, start + size). */
export function hopping(size: Duration, options: WindowOptions & { readonly advance: Duration }): TimeWindows {
  const sizeMs = positive(size, "hopping: size");
  const advanceMs = positive(options.advance, "hopping: advance");
  if (advanceMs > sizeMs)
    throw invalid(
      `hopping: the advance (${advanceMs} ms) must not be longer than the size (${sizeMs} ms), or records would fall between windows`,
    );
  return timeWindows("hopping", sizeMs, advanceMs, options);
}

/** A window for every set of records of a key that lie within `difference` of each other: [t - difference, t], both included. */
export function sliding(difference: Duration, options: WindowOptions = {}): SlidingWindows {
  const diffMs = positive(difference, "sliding: difference");
  const graceMs = durationMs(options.grace ?? 0, "sliding: grace");
  return { kind: "sliding", diffMs, graceMs, retentionMs: retention("sliding", options, 2 * diffMs + graceMs, "2 x difference + grace") };
}

/** Bursts of activity: records of a key no further than `gap` apart share a window: [first, last], both included. */
export function session(gap: Duration, options: WindowOptions = {}): SessionWindows {
  const gapMs = durationMs(gap, "session: gap");
  const graceMs = durationMs(options.grace ?? 0, "session: grace");
  return { kind: "session", gapMs, graceMs, retentionMs: retention("session", options, gapMs + graceMs, "gap + grace") };
}

/** How far apart two records of joined streams may be. */
export interface JoinWindow {
  /** The right record may be this much later or earlier than the left one. */
  readonly within?: Duration;
  /** The right record may be this much earlier; overrides `within`. */
  readonly before?: Duration;
  /** The right record may be this much later; overrides `within`. */
  readonly after?: Duration;
  /** How long a match may still come after that (stream time). Default 0. */
  readonly grace?: Duration;
}

export function joinWindow(window: JoinWindow): { readonly beforeMs: number; readonly afterMs: number; readonly graceMs: number } {
  if (window.within === undefined && window.before === undefined && window.after === undefined) {
    throw invalid('join: two streams are joined within a window; say how far apart records may be, for instance { within: "5 minutes" }');
  }
  return {
    beforeMs: durationMs(window.before ?? window.within ?? 0, "join: before"),
    afterMs: durationMs(window.after ?? window.within ?? 0, "join: after"),
    graceMs: durationMs(window.grace ?? 0, "join: grace"),
  };
}

function timeWindows(what: string, sizeMs: number, advanceMs: number, options: WindowOptions): TimeWindows {
  const graceMs = durationMs(options.grace ?? 0, `${what}: grace`);
  return { kind: "time", sizeMs, advanceMs, graceMs, retentionMs: retention(what, options, sizeMs + graceMs, "size + grace") };
}

function retention(what: string, options: WindowOptions, least: number, formula: string): number {
  if (options.retention === undefined) return Math.max(DAY, least);
  const ms = durationMs(options.retention, `${what}: retention`);
  if (ms < least)
    throw invalid(
      `${what}: the retention (${ms} ms) must be at least ${formula} (${least} ms), or windows would be gone before they close`,
    );
  return ms;
}

function positive(duration: Duration, what: string): number {
  const ms = durationMs(duration, what);
  if (ms === 0) throw invalid(`${what} must be longer than 0`);
  return ms;
}

function invalid(message: string): KeyfoldError {
  return new KeyfoldError("function-invalid", message);
}
